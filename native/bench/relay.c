// The yardstick: the plainest relay that one would write in C. Two TUNs, epoll, one packet at a time, first in first out.
// usage: relay <netns path A> <netns path B> <name A> <name B> <vnet header: 0|1>    Prints "ready" when it relays.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int open_tun(const char *netns, const char *name, int vnet) {
  int target = open(netns, O_RDONLY | O_CLOEXEC);
  if (target < 0 || setns(target, CLONE_NEWNET) != 0) die(netns);
  close(target);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("/dev/net/tun");
  struct ifreq interface = {.ifr_flags = IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0)};
  strncpy(interface.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &interface) != 0) die("TUNSETIFF");
  if (vnet) {
    int octets = 10;
    if (ioctl(fd, TUNSETVNETHDRSZ, &octets) != 0) die("TUNSETVNETHDRSZ");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) die("TUNSETOFFLOAD");
  }
  return fd;
}

int main(int count, char **arguments) {
  static char packet[65536 + 16];
  if (count != 6) return 2;
  int fds[2], vnet = atoi(arguments[5]);
  int set = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < 2; i++) {
    fds[i] = open_tun(arguments[1 + i], arguments[3 + i], vnet);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event) != 0) die("epoll_ctl");
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[2];
    int waiting = epoll_wait(set, events, 2, -1);
    for (int i = 0; i < waiting; i++) {
      int from = events[i].data.u32;
      for (;;) {
        ssize_t octets = read(fds[from], packet, sizeof packet);
        if (octets < 0) break;
        if (write(fds[!from], packet, octets) < 0 && errno != EIO) break;
      }
    }
  }
}
