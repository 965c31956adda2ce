// The yardstick where the kernel has no ipip: the plainest end of an IP-in-IP tunnel that one would write in C. A TUN and a raw socket
// of protocol 4, epoll, one packet at a time; no bindings, no checks, no soft state.
// usage: ipip <TUN name> <remote address>    Prints "ready" when the TUN is there.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUTER_HEADER = 20, BURST = 64 };

static int fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, arguments[1], IFNAMSIZ - 1);
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) fail("TUN");
  int raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_IPIP);
  struct sockaddr_in remote = {.sin_family = AF_INET};
  int size = 4 << 20;
  if (inet_pton(AF_INET, arguments[2], &remote.sin_addr) != 1) return 2;
  if (raw < 0 || connect(raw, (struct sockaddr *)&remote, sizeof remote) < 0) fail("raw socket");
  setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  int poll = epoll_create1(0);
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = i == 0 ? tun : raw};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event) < 0) fail("epoll_ctl");
  }
  puts("ready");
  fflush(stdout);
  static unsigned char packet[65536];
  for (;;) {
    struct epoll_event events[2];
    int ready = epoll_wait(poll, events, 2, -1);
    for (int i = 0; i < ready; i++)
      for (int n = 0; n < BURST; n++) {
        ssize_t length = read(events[i].data.fd, packet, sizeof packet);
        if (length <= 0) break;
        // The kernel makes the outer header; on the way in it is there to be taken off.
        ssize_t written = events[i].data.fd == tun ? write(raw, packet, (size_t)length)
                          : length > OUTER_HEADER ? write(tun, packet + OUTER_HEADER, (size_t)length - OUTER_HEADER)
                                                  : 0;
        (void)written;
      }
  }
}
