/* SPDX-License-Identifier: MIT
 *
 * log.h - where the library sends what a person may want to know but no code
 * needs: a warning, a stage that begins. The library itself never prints.
 *
 *     static void to_stderr(void *user, tl_log_level level, const char *text)
 *     {
 *         fprintf(stderr, "%s\n", text);
 *     }
 *
 *     tl_log_set(to_stderr, NULL);
 *
 * Set the sink once, before other calls; without one the messages are dropped. It is called
 * by whichever thread has something to say, and may be called by several at a time.
 */
#ifndef TWINLENS_LOG_H
#define TWINLENS_LOG_H

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef enum tl_log_level { TL_LOG_DEBUG, TL_LOG_INFO, TL_LOG_WARNING } tl_log_level;

typedef void (*tl_log_sink)(void *user, tl_log_level level, const char *text);

/* Installs `sink`, which is called with `user` as long as the program runs; NULL drops
 * messages again. Not while another thread is in the library. */
void tl_log_set(tl_log_sink sink, void *user);

/* One message, without a newline at its end. */
void tl_log(tl_log_level level, const char *format, ...) TL_PRINTF(2, 3);

TL_END_DECLS

#endif
