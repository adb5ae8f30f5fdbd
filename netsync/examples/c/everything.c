/* Calls everything in the header once, with good arguments and bad. A test runs it.
 *
 *   everything SOCKET PORT      of a mirror on 127.0.0.1 */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netsync.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, ns_error());       \
      return 1;                                                                     \
    }                                                                               \
  } while (0)

static const uint64_t LONG = 60000000000;

int main(int argc, char **argv) {
  CHECK(argc == 3);
  ns_target level = {NS_LEVEL, 1, 0}, nine = {NS_LEVEL, 9, 0}, acked = {NS_ACKED, 0, 0};
  ns_target unlikely = {NS_PROBABILITY, 0, 1.5}, unknown = {77, 0, 0};
  ns_outcome outcome;
  ns_notice notice;
  uint64_t offset = 0;

  CHECK(ns_connect(NULL) == NULL && strcmp(ns_error(), "path is NULL") == 0);
  CHECK(ns_state(NULL) == NS_STATE_DEAD && ns_levels(NULL) == 0);
  CHECK(ns_flow_open(NULL, 0) == NULL && ns_notices_open(NULL, 0) == NULL);
  CHECK(ns_wait(NULL, 0, level, 0, NULL) == NS_BAD_ARGUMENT);
  CHECK(ns_sent(NULL, &offset) == NS_BAD_ARGUMENT);
  CHECK(ns_notices_poll(NULL, &notice) == NS_NOTHING);
  ns_close(NULL);
  ns_flow_close(NULL);
  ns_notices_close(NULL);
  ns_flow_set_mode(NULL, NS_SPIN);

  ns_subscriber *gateway = ns_connect(argv[1]);
  CHECK(gateway != NULL && ns_state(gateway) == NS_STATE_PROTECTED && ns_levels(gateway) == 3);
  CHECK(ns_flow_open(gateway, -1) == NULL && ns_flow_open(gateway, 1) == NULL);
  CHECK(ns_flow_by_ends(gateway, "10.0.0.1:1", "nowhere") == NULL);
  CHECK(ns_notices_open(gateway, 2) == NULL);
  ns_notices *notices = ns_notices_open(gateway, 1);
  CHECK(notices != NULL && ns_notices_poll(notices, &notice) == NS_NOTHING);
  ns_flow *nobody = ns_flow_by_ends(gateway, "10.0.0.1:1", "[::1]:2");
  CHECK(nobody != NULL && ns_sent(nobody, &offset) == NS_NOT_TRACKED);

  struct sockaddr_in mirror;
  memset(&mirror, 0, sizeof mirror);
  mirror.sin_family = AF_INET;
  mirror.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  unsigned port;
  CHECK(sscanf(argv[2], "%u", &port) == 1);
  mirror.sin_port = htons((uint16_t)port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr *)&mirror, sizeof mirror) == 0);
  ns_flow *flow = ns_flow_open(gateway, fd);
  CHECK(flow != NULL);
  ns_flow_set_mode(flow, NS_BLOCK);
  CHECK(write(fd, "record", 6) == 6);
  CHECK(ns_wait(flow, 6, acked, LONG, &outcome) == NS_OK && outcome.reached != NS_BY_LEVEL);
  while (ns_sent(flow, &offset) != NS_OK || offset < 6) {
  }
  CHECK(ns_wait(flow, 6, level, LONG, NULL) == NS_OK);
  while (ns_acked(flow, &offset) != NS_OK || offset < 6) {
  }
  CHECK(ns_watermark(flow, 3, &offset) == NS_OK && offset == 6);
  CHECK(ns_watermark(flow, 9, &offset) == NS_NO_SUCH_LEVEL);
  CHECK(ns_watermark(flow, 1, NULL) == NS_BAD_ARGUMENT);
  CHECK(ns_wait(flow, 7, level, 1000000, &outcome) == NS_TIMEOUT);
  CHECK(strcmp(ns_error(), "timed out") == 0);
  CHECK(ns_wait(flow, 7, nine, LONG, &outcome) == NS_NO_SUCH_LEVEL);
  CHECK(ns_wait(flow, 7, unlikely, LONG, &outcome) == NS_BAD_ARGUMENT);
  CHECK(ns_wait(flow, 7, unknown, LONG, &outcome) == NS_BAD_ARGUMENT);

  ns_pending pending[2];
  memset(pending, 0, sizeof pending);
  pending[0].flow = flow;
  pending[1].flow = nobody;
  for (int i = 0; i < 2; i++) {
    pending[i].offset = 7;
    pending[i].target = level;
    pending[i].status = NS_PENDING;
  }
  CHECK(ns_poll_many(NULL, 1) == -1 && ns_wait_any(pending, 2, LONG, 77) == -1);
  CHECK(ns_poll_many(NULL, 0) == 0);
  CHECK(ns_poll_many(pending, 2) == 1);
  CHECK(pending[0].status == NS_PENDING && pending[1].status == NS_NOT_TRACKED);
  CHECK(write(fd, "!", 1) == 1);
  while (pending[0].status == NS_PENDING) {
    CHECK(ns_wait_any(pending, 1, LONG, NS_BLOCK) == 1);
  }
  CHECK(pending[0].status == NS_OK);

  int opened = 0, repairs = 0;
  while (opened == 0 || repairs == 0) {
    ns_event event = ns_notices_poll(notices, &notice);
    opened += event == NS_FLOW_OPENED;
    repairs += event == NS_REPAIR && notice.stride == 97 && notice.count == 20;
  }
  ns_notices_close(notices);
  ns_close(gateway);
  ns_flow_close(nobody);
  ns_flow_close(flow);
  close(fd);
  return 0;
}
