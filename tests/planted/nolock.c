/* A file system without record locks, as NFS and Lustre can be mounted: fcntl fails with ENOLCK. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#define WITHOUT_LOCKS(name)                                                   \
  int name(int fd, int command, ...) {                                        \
    va_list arguments;                                                        \
    va_start(arguments, command);                                             \
    void *argument = va_arg(arguments, void *);                               \
    va_end(arguments);                                                        \
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK) { \
      errno = ENOLCK;                                                         \
      return -1;                                                              \
    }                                                                         \
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #name);                     \
    return real(fd, command, argument);                                       \
  }

WITHOUT_LOCKS(fcntl)
WITHOUT_LOCKS(fcntl64)
