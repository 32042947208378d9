"""The configs that come with twolayer."""
