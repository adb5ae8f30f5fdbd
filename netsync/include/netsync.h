/* How a storage process learns how safely its bytes are in flight: see docs/NETSYNC.md.
 *
 * Made from netsync/capi by its test `header`; UPDATE=1 writes it anew. Offsets count the bytes that
 * this process has written to a connection, from its first. Times are CLOCK_MONOTONIC nanoseconds. */

#ifndef NETSYNC_H
#define NETSYNC_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Every source packet gets its repairs.
#define NS_STATE_PROTECTED 0

// Repairs are shed; watermarks count only those that have left.
#define NS_STATE_DEGRADED 1

// Frames pass unprotected.
#define NS_STATE_BYPASSED 2

// The gateway at the other end does not answer.
#define NS_STATE_PEER_DOWN 4

// The gateway is about to end.
#define NS_STATE_STOPPING 8

// Not of a gateway: there is none that lives.
#define NS_STATE_DEAD 1073741824

// A connection. Used by one thread at a time.
typedef struct ns_flow ns_flow;

// A reader of one worker's notices. Used by one thread at a time.
typedef struct ns_notices ns_notices;

// A connection to a gateway. May be used by several threads at once.
typedef struct ns_subscriber ns_subscriber;

// What a call has come to: one of NS_OK and those behind it.
typedef int32_t ns_status;

// What is waited for: NS_LEVEL, NS_ACKED or NS_PROBABILITY.
typedef uint32_t ns_target_kind;

// How safe bytes are to be.
typedef struct {
  // Of what kind.
  ns_target_kind kind;
  // From 1 on, for NS_LEVEL.
  uint32_t level;
  // From 0 to 1, for NS_PROBABILITY.
  double probability;
} ns_target;

// By what a target was reached: NS_BY_LEVEL, NS_BY_ACK or NS_BY_KERNEL.
typedef uint32_t ns_reached;

// What a wait has come to, if NS_OK.
typedef struct {
  // By what.
  ns_reached reached;
  // By how many repairs, for NS_BY_LEVEL; else 0.
  uint32_t level;
  // The gateway sheds repairs.
  bool degraded;
} ns_outcome;

// One wait of a batch. The caller sets `flow`, `offset`, `target`, `status` to NS_PENDING, and `began` to
// zeros; no flow may be in a batch twice.
typedef struct {
  // The connection.
  ns_flow *flow;
  // For all bytes below it.
  uint64_t offset;
  // How safe.
  ns_target target;
  // NS_PENDING until there is an answer.
  ns_status status;
  // The answer, if `status` is NS_OK.
  ns_outcome outcome;
  // The library's own.
  uint64_t began[2];
} ns_pending;

// How a wait passes the time: NS_SPIN or NS_BLOCK.
typedef uint32_t ns_mode;

// What a look into a ring brought: NS_NOTHING or one of those behind it.
typedef uint32_t ns_event;

// A notice. What its kind does not use is 0.
typedef struct {
  // What it is.
  ns_event event;
  // Of a repair: how many further runs were merged into it.
  uint32_t runs;
  // As the event says.
  uint64_t a;
  // As the event says. Of a repair: the sequence number of its first member.
  uint64_t b;
  // Of a repair: the distance of its members.
  uint32_t stride;
  // Of a repair: how many members its first run has.
  uint32_t count;
  // Of a repair: when its last member was sent.
  uint64_t made_ns;
  // Of a repair: when it had left.
  uint64_t left_ns;
  // Of a repair: its code within the channel.
  uint8_t code_id;
  // Of a repair: its layer, from 0.
  uint8_t layer;
  // Of a repair: it left before its time.
  bool flushed;
} ns_notice;

// It is so.
#define NS_OK 0

// Not yet: only of a wait in a batch.
#define NS_PENDING 1

// The target was not reached in time.
#define NS_TIMEOUT 2

// The gateway passes frames without protecting them, or is about to stop.
#define NS_UNPROTECTED 3

// No gateway lives.
#define NS_DEAD 4

// The gateway does not track this connection.
#define NS_NOT_TRACKED 5

// The gateway has begun anew with this connection. Wait again.
#define NS_RENEWED 6

// The gateway's table is full, and this connection was idle longest. Wait again.
#define NS_EVICTED 7

// The ends of this connection are another one's by now.
#define NS_REUSED 8

// The connection was reset.
#define NS_RESET 9

// Picked up in mid-stream, and no socket to anchor it by.
#define NS_UNANCHORED 10

// The code in force has no such level.
#define NS_NO_SUCH_LEVEL 11

// Another code came into force. Wait again.
#define NS_CODE_SWITCHED 12

// An argument is NULL, or out of its range.
#define NS_BAD_ARGUMENT 13

// A bug of this library.
#define NS_INTERNAL 14

// Polls without a pause: answers within a microsecond, and takes a core.
#define NS_SPIN 0

// Polls with pauses that grow to a millisecond.
#define NS_BLOCK 1

// Covered by `level` repairs that have left.
#define NS_LEVEL 0

// Acknowledged by the far TCP.
#define NS_ACKED 1

// Lost with at most this `probability`, should this site die now.
#define NS_PROBABILITY 2

// Repairs have left.
#define NS_BY_LEVEL 0

// The gateway has seen the acknowledgement.
#define NS_BY_ACK 1

// This host's kernel has seen it.
#define NS_BY_KERNEL 2

// Nothing new.
#define NS_NOTHING 0

// A repair packet has left: all fields but `a` count.
#define NS_REPAIR 1

// The state has changed from `a` to `b`, at `left_ns`.
#define NS_STATE 2

// A code of generation `a` is in force.
#define NS_CODE 3

// A connection's SYN was seen: entry `a`, generation `b`. So are those behind it.
#define NS_FLOW_OPENED 4

// Its FIN was seen.
#define NS_FLOW_CLOSED 5

// An RST was seen.
#define NS_FLOW_RESET 6

// It had to leave for another.
#define NS_FLOW_EVICTED 7

// It was picked up in mid-stream.
#define NS_FLOW_UNANCHORED 8

// Exactly `a` notices were overwritten before they were read.
#define NS_MISSED 9

// Another gateway has taken the place of the one before; `a` is its epoch.
#define NS_RESTARTED 10

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Why the last call of this thread that failed did so, in one line. Never NULL; valid until the
// next call that fails.
const char *ns_error(void);

// Connects to the gateway that listens on the Unix socket `path`, which has two seconds to answer: do
// so before anything waits for it. NULL on failure, see ns_error().
// Once connected it outlives its gateway: the next call finds the gateway's successor by itself.
//
// Required: `path` is a string.
ns_subscriber *ns_connect(const char *path);

// Gives a subscriber back. Flows and readers made of it stay good. NULL is ignored.
//
// Required: `subscriber` is from ns_connect(), and not used again.
void ns_close(ns_subscriber *subscriber);

// The gateway's state: NS_STATE_ flags, NS_STATE_DEAD when none lives.
//
// Required: `subscriber` is from ns_connect().
uint64_t ns_state(const ns_subscriber *subscriber);

// How many levels the code in force has; 0 without a gateway or a code.
//
// Required: `subscriber` is from ns_connect().
uint32_t ns_levels(const ns_subscriber *subscriber);

// Waits until all bytes below `offset` are as safe as `target` says, or `timeout_ns` have passed, or
// it can't be. Whatever happens, it returns. `outcome` may be NULL. The reason for what is not NS_OK
// is in ns_error() too.
//
// Required: `flow` is a flow that no other thread uses; `outcome` points to one, or is NULL.
ns_status ns_wait(ns_flow *flow,
                  uint64_t offset,
                  ns_target target,
                  uint64_t timeout_ns,
                  ns_outcome *outcome);

// One look at each wait of a batch that is NS_PENDING. Returns how many are not, or -1 if an argument is
// bad.
//
// Required: `pending` points to `count` waits; of their flows no two are the same, and no other thread uses any.
ptrdiff_t ns_poll_many(ns_pending *pending,
                       size_t count);

// Waits until at least one wait of a batch is not NS_PENDING, or `timeout_ns` have passed. Returns how
// many are not, or -1 if an argument is bad.
//
// Required: `pending` points to `count` waits; of their flows no two are the same, and no other thread uses any.
ptrdiff_t ns_wait_any(ns_pending *pending,
                      size_t count,
                      uint64_t timeout_ns,
                      ns_mode mode);

// The flow of the connected TCP socket `fd`. NULL on failure. It keeps a duplicate of `fd`: TCP closes
// when both are closed, so close the flow with the socket.
//
// Required: `subscriber` is from ns_connect(); `fd` is open.
ns_flow *ns_flow_open(const ns_subscriber *subscriber,
                      int fd);

// A flow by its ends, as "10.0.0.1:4000" or "[fd00::1]:4000", local first. NULL when they aren't such.
// Without its socket it can't be anchored, nor found again after a restart of the gateway.
//
// Required: `subscriber` is from ns_connect(); `local` and `remote` are strings.
ns_flow *ns_flow_by_ends(const ns_subscriber *subscriber,
                         const char *local,
                         const char *remote);

// Gives a flow back. NULL is ignored.
//
// Required: `flow` is from ns_flow_open() or ns_flow_by_ends(), and not used again.
void ns_flow_close(ns_flow *flow);

// How the flow's waits pass the time; NS_SPIN at first.
//
// Required: `flow` is a flow that no other thread uses.
void ns_flow_set_mode(ns_flow *flow, ns_mode mode);

// Writes to `offset`: every byte below it is covered by at least `level` repairs that have left.
//
// Required: `flow` is a flow that no other thread uses; `offset` points to an integer.
ns_status ns_watermark(ns_flow *flow, uint32_t level, uint64_t *offset);

// Writes to `offset`: every byte below it has left the gateway, once.
//
// Required: `flow` is a flow that no other thread uses; `offset` points to an integer.
ns_status ns_sent(ns_flow *flow, uint64_t *offset);

// Writes to `offset`: every byte below it was acknowledged by the far TCP, as the gateway has seen.
//
// Required: `flow` is a flow that no other thread uses; `offset` points to an integer.
ns_status ns_acked(ns_flow *flow, uint64_t *offset);

// A reader of a worker's notices, from now on; workers count from 0. NULL when there is no such
// worker, or no gateway.
//
// Required: `subscriber` is from ns_connect().
ns_notices *ns_notices_open(const ns_subscriber *subscriber, uint32_t worker);

// Writes the next notice to `notice`, whose event it returns: NS_NOTHING when there is none. Never
// waits.
//
// Required: `notices` is from ns_notices_open(), and used by no other thread; `notice` points to one.
ns_event ns_notices_poll(ns_notices *notices, ns_notice *notice);

// Gives a reader back. NULL is ignored.
//
// Required: `notices` is from ns_notices_open(), and not used again.
void ns_notices_close(ns_notices *notices);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NETSYNC_H */
