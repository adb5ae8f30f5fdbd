#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fopencookie */
#endif

#include "shim.h"

int shim_errno(void)
{
	return rte_errno;
}

unsigned int shim_lcore_id(void)
{
	return rte_lcore_id();
}

static shim_log_fn log_sink;
static FILE *log_stream;

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	log_sink(text, length, (uint32_t)rte_log_cur_msg_loglevel());
	return (ssize_t)length; /* anything less would set the stream's error flag */
}

int shim_log_to(shim_log_fn sink)
{
	cookie_io_functions_t functions = { .write = log_write };

	log_sink = sink;
	if (log_stream == NULL) {
		log_stream = fopencookie(NULL, "w", functions);
		if (log_stream == NULL)
			return -1;
		/* A line at a time: what is printed without fflush must not wait either. */
		setvbuf(log_stream, NULL, _IOLBF, BUFSIZ);
	}
	return rte_openlog_stream(log_stream);
}

/* glibc documents stdout and stderr as variables that may be set. File descriptors 1 and 2, which
 * Rust writes to, stay as they are. */
static FILE *saved_out, *saved_err;

void shim_stdio_capture(void)
{
	static FILE *nowhere;
	cookie_io_functions_t discard = { .write = NULL };

	if (nowhere == NULL)
		nowhere = fopencookie(NULL, "w", discard);
	saved_out = stdout;
	saved_err = stderr;
	if (nowhere != NULL)
		stdout = nowhere;
	if (log_stream != NULL)
		stderr = log_stream;
}

void shim_stdio_release(void)
{
	stdout = saved_out;
	stderr = saved_err;
}

struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

int shim_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void shim_mbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

void shim_mbuf_keep(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_refcnt_update(mbuf, 1);
}

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

int shim_tx_descriptor_status(uint16_t port, uint16_t queue, uint16_t offset)
{
	return rte_eth_tx_descriptor_status(port, queue, offset);
}

int shim_link_up(uint16_t port)
{
	struct rte_eth_link link = { 0 };
	int result = rte_eth_link_get_nowait(port, &link);

	return result < 0 ? result : link.link_status == RTE_ETH_LINK_UP;
}

uint32_t shim_link_speed(uint16_t port)
{
	struct rte_eth_link link = { 0 };
	int result = rte_eth_link_get_nowait(port, &link);

	return result < 0 || link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
}

unsigned int shim_ring_drain(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_ring_dequeue_burst(ring, (void **)mbufs, count, NULL);
}
