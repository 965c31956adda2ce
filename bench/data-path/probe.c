// UDP probes with kernel receive times, for the one-way delay and the rate of a link.
//   probe receive PORT COUNT IDLE_MS          prints `sequence sent_ns received_ns` a datagram; ends after COUNT or IDLE_MS of silence
//   probe send ADDRESS PORT COUNT INTERVAL_NS PAYLOAD_OCTETS
//   probe spread ADDRESS PORT COUNT INTERVAL_NS PAYLOAD_OCTETS ADDRESSES     to so many addresses in turn
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct probe {
  uint64_t sequence;
  uint64_t sent;
};

static uint64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int receive(int port, uint64_t count, int idle_ms) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 8 << 20;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval idle = {idle_ms / 1000, idle_ms % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  puts("ready");
  fflush(stdout);
  for (uint64_t i = 0; i < count; i++) {
    struct probe probe;
    char control[256], payload[65536];
    struct iovec vector = {payload, sizeof payload};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, 0);
    if (length < (ssize_t)sizeof probe) break;
    memcpy(&probe, payload, sizeof probe);
    uint64_t received = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        received = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
      }
    printf("%llu %llu %llu\n", (unsigned long long)probe.sequence, (unsigned long long)probe.sent, (unsigned long long)received);
  }
  return 0;
}

// Datagram i goes to the address `to` plus i modulo `spread`.
static int transmit(const char *to, int port, uint64_t count, uint64_t interval, size_t octets, uint32_t spread) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  static char payload[65536];
  if (inet_pton(AF_INET, to, &address.sin_addr) != 1) fail("address");
  uint32_t first = ntohl(address.sin_addr.s_addr);
  if (octets < sizeof(struct probe)) octets = sizeof(struct probe);
  uint64_t next = now(CLOCK_MONOTONIC) + 1000000;
  for (uint64_t i = 0; i < count; i++, next += interval) {
    struct timespec until = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    struct probe probe = {i, now(CLOCK_REALTIME)};
    memcpy(payload, &probe, sizeof probe);
    address.sin_addr.s_addr = htonl(first + (uint32_t)(i % spread));
    if (sendto(fd, payload, octets, 0, (struct sockaddr *)&address, sizeof address) < 0) fail("send");
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "receive")) return receive(atoi(argv[2]), strtoull(argv[3], NULL, 10), atoi(argv[4]));
  if (argc == 7 && !strcmp(argv[1], "send"))
    return transmit(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), (size_t)atoi(argv[6]), 1);
  if (argc == 8 && !strcmp(argv[1], "spread"))
    return transmit(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), (size_t)atoi(argv[6]),
                    (uint32_t)atoi(argv[7]));
  fprintf(stderr, "usage: probe receive PORT COUNT IDLE_MS | probe send ADDRESS PORT COUNT INTERVAL_NS OCTETS\n");
  return 64;
}
