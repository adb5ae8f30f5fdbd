/* What bindgen cannot see in DPDK's headers: static inline functions, thread-local variables,
 * constants behind macros, and where a field of rte_mbuf lies in this release. */
#ifndef MAELSTROM_DPDK_SHIM_H
#define MAELSTROM_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <rte_config.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

/* Field offsets in bytes. Reading a field through them costs one load and no call. */
enum shim_mbuf_offset {
	SHIM_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr), /* void * */
	SHIM_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off), /* uint16_t */
	SHIM_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),     /* uint16_t, atomic */
	SHIM_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),   /* uint16_t */
	SHIM_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags), /* uint64_t */
	SHIM_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),   /* uint32_t */
	SHIM_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len), /* uint16_t */
	SHIM_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),   /* uint16_t */
};

enum shim_number {
	SHIM_LCORE_ID_ANY = LCORE_ID_ANY,
	SHIM_RING_SP_SC = RING_F_SP_ENQ | RING_F_SC_DEQ,
	SHIM_DESC_FULL = RTE_ETH_TX_DESC_FULL,
	SHIM_DESC_DONE = RTE_ETH_TX_DESC_DONE,
	SHIM_DESC_UNAVAIL = RTE_ETH_TX_DESC_UNAVAIL,
};

/* RTE_BIT64 hides these from bindgen. */
static const uint64_t SHIM_MBUF_NOT_DIRECT = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
static const uint64_t SHIM_RSS_FLOWS = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

/* Thread-locals. */
int shim_errno(void);
unsigned int shim_lcore_id(void);

/* Called for each piece of text that EAL logs; level is RTE_LOG_*. Must not unwind. */
typedef void (*shim_log_fn)(const char *text, size_t length, uint32_t level);

/* Sends EAL's log to `sink` for the rest of the process. Returns 0 or -1. */
int shim_log_to(shim_log_fn sink);

/* Between the two, what C code prints to stderr past EAL's log (fatal errors, libbpf's remarks)
 * goes to the log's stream, and what it prints to stdout (two pages of usage after a bad argument)
 * is dropped. Not nested, and not from two threads at once. */
void shim_stdio_capture(void);
void shim_stdio_release(void);

/* mbufs */
struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool);
int shim_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void shim_mbuf_free(struct rte_mbuf *mbuf);
void shim_mbuf_keep(struct rte_mbuf *mbuf); /* refcnt + 1 on every segment */

/* ports */
uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
int shim_tx_descriptor_status(uint16_t port, uint16_t queue, uint16_t offset);
int shim_link_up(uint16_t port); /* 1 up, 0 down, negative: not known */
uint32_t shim_link_speed(uint16_t port); /* in Mb/s, 0: not known */

/* rings */
unsigned int shim_ring_drain(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count);

#endif
