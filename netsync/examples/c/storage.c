/* A storage process: writes records to its mirror over TCP, and after each waits until it is as safe as
 * asked for, instead of waiting for the mirror's answer. Prints how long that took.
 *
 *   storage SOCKET MIRROR-IP PORT RECORDS POLICY      POLICY: level:N, prob:P or acked
 *
 * When the gateway can't say more about a record, the kernel's acknowledgement must do: that is
 * the policy of this process; another may prefer to fail. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netsync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 4096 };
static const uint64_t SECOND = 1000000000;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int parse_policy(const char *text, ns_target *target) {
  memset(target, 0, sizeof *target);
  if (sscanf(text, "level:%u", &target->level) == 1) {
    target->kind = NS_LEVEL;
  } else if (sscanf(text, "prob:%lf", &target->probability) == 1) {
    target->kind = NS_PROBABILITY;
  } else if (strcmp(text, "acked") == 0) {
    target->kind = NS_ACKED;
  } else {
    return -1;
  }
  return 0;
}

static int connect_to(const char *ip, const char *port) {
  struct sockaddr_in mirror;
  memset(&mirror, 0, sizeof mirror);
  mirror.sin_family = AF_INET;
  mirror.sin_port = htons((uint16_t)atoi(port));
  if (inet_pton(AF_INET, ip, &mirror.sin_addr) != 1) {
    fprintf(stderr, "storage: not an IPv4 address: %s\n", ip);
    return -1;
  }
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&mirror, sizeof mirror) != 0) {
    perror("storage: mirror");
    return -1;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

/* Returns 0 when all of it was handed to the kernel. */
static int write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(fd, bytes, length);
    if (written < 0) {
      perror("storage: write");
      return -1;
    }
    bytes += written;
    length -= (size_t)written;
  }
  return 0;
}

int main(int argc, char **argv) {
  ns_target target, acked = {NS_ACKED, 0, 0};
  if (argc != 6 || atoi(argv[4]) < 1 || parse_policy(argv[5], &target) != 0) {
    fprintf(stderr, "usage: storage SOCKET MIRROR-IP PORT RECORDS level:N|prob:P|acked\n");
    return 2;
  }
  size_t records = (size_t)atoi(argv[4]), by_repairs = 0, fallbacks = 0;
  ns_subscriber *gateway = ns_connect(argv[1]);
  if (gateway == NULL) {
    fprintf(stderr, "storage: %s\n", ns_error());
    return 1;
  }
  int fd = connect_to(argv[2], argv[3]);
  if (fd < 0) {
    return 1;
  }
  ns_flow *flow = ns_flow_open(gateway, fd);
  if (flow == NULL) {
    fprintf(stderr, "storage: %s\n", ns_error());
    return 1;
  }
  ns_flow_set_mode(flow, NS_BLOCK);

  static char record[RECORD];
  uint64_t offset = 0, *took = calloc(records, sizeof *took);
  if (took == NULL) {
    return 1;
  }
  for (size_t i = 0; i < records; i++) {
    ns_outcome outcome;
    uint64_t began = now_ns();
    if (write_all(fd, record, sizeof record) != 0) {
      return 1;
    }
    offset += sizeof record;
    if (ns_wait(flow, offset, target, 10 * SECOND, &outcome) != NS_OK) {
      if (fallbacks++ == 0) {
        fprintf(stderr, "storage: waiting for the mirror instead: %s\n", ns_error());
      }
      if (ns_wait(flow, offset, acked, 60 * SECOND, &outcome) != NS_OK) {
        fprintf(stderr, "storage: record %zu: %s\n", i, ns_error());
        return 1;
      }
    }
    by_repairs += outcome.reached == NS_BY_LEVEL;
    took[i] = now_ns() - began;
  }
  qsort(took, records, sizeof *took, by_size);
  printf("records %zu, %zu by repairs alone, %zu by falling back\n", records, by_repairs, fallbacks);
  printf("latency median %.1f us, 99 %% %.1f us, maximum %.1f us\n", (double)took[records / 2] / 1e3,
         (double)took[records * 99 / 100] / 1e3, (double)took[records - 1] / 1e3);
  free(took);
  ns_flow_close(flow);
  close(fd);
  ns_close(gateway);
  return 0;
}
