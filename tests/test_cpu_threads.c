/*
 * test_cpu_threads.c - how many threads the cpu backend takes, and that they sleep while
 * they have nothing to do. Nothing else is linked that has threads.
 */
#include "testing.h"

#include <omp.h>
#include <time.h>
#include <unistd.h>

#include "backend/cpu/cpu_threads.h"
#include "base/cores.h"

static double busy_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What all threads compute while one sleeps for a second, in pauses behind loops. */
static double busy_in_pauses(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    double busy = 0.0;
    for (int i = 0; i < 20; i++) {
#pragma omp parallel num_threads(2)
        {
#pragma omp barrier
        }
        const double before = busy_seconds();
        nanosleep(&pause, NULL);
        busy += busy_seconds() - before;
    }
    return busy;
}

static void threads_sleep_while_they_wait(void **unused)
{
    (void)unused;
    const double spinning = busy_in_pauses();
    tl_cpu_threads_wait_politely();
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the way there */
    const double polite = busy_in_pauses();
    printf("in a second of pauses %.2f ms of a processor, before %.2f ms\n",
           1e3 * polite, 1e3 * spinning);
    assert_true(polite < 0.015);
}

static void there_is_one_thread_a_core(void **unused)
{
    (void)unused;
    const size_t cores = tl_cores_own(), n = tl_cpu_threads_default();
    assert_in_range(n, 1, cores);
    setenv("OMP_NUM_THREADS", "7", 1); /* which OpenMP has read long ago */
    omp_set_num_threads(7);
    assert_int_equal(tl_cpu_threads_default(), 7);
    unsetenv("OMP_NUM_THREADS");
    assert_int_equal(tl_cpu_threads_default(), cores < 7 ? cores : 7);
}

/* OpenMP has read its environment when main() begins. */
static void start_without_a_policy(char **argv)
{
    const char *const policy[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
                                  "OMP_NUM_THREADS"};
    bool is_set = false;
    for (size_t i = 0; i < sizeof policy / sizeof *policy; i++) {
        is_set = is_set || getenv(policy[i]) != NULL;
        unsetenv(policy[i]);
    }
    if (is_set)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    (void)argc;
    start_without_a_policy(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_sleep_while_they_wait),
                                       cmocka_unit_test(there_is_one_thread_a_core)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
