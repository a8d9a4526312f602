/* Preloaded into peers that have no bind address of their own (Orthanc 1.10, DCMTK): a socket that would listen on
   every address of the machine listens on loopback alone. Build: cc -shared -fPIC -o loopback.so loopback.c -ldl */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  int (*real_bind)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
  if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
    struct sockaddr_in four = *(const struct sockaddr_in *)address;
    if (four.sin_addr.s_addr == htonl(INADDR_ANY)) four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real_bind(fd, (struct sockaddr *)&four, sizeof four);
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
    struct sockaddr_in6 six = *(const struct sockaddr_in6 *)address;
    if (memcmp(&six.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0)
      inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
    return real_bind(fd, (struct sockaddr *)&six, sizeof six);
  }
  return real_bind(fd, address, length);
}
