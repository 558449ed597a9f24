/* Threads that share tasks: each has a stretch of its own, whose data stay in its cache from one round to the
   next, and helps with those of others when it is done, so that none waits for a slower one. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

typedef void (*Task)(void *job, int task, int thread);

/* Of tasks; a cache line each. */
typedef struct {
    atomic_int next;
    int end;
} __attribute__((aligned(64))) Stretch;

typedef struct {
    int threads, started;
    Stretch *stretches;
    pthread_t *others;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int round, busy;
    int open, ending; /* under the lock */
    Task run;
    void *job;
} Pool;

/* With the caller as one of the threads; fewer where the system gives no more. NULL: no memory. */
Pool *pool_new(int threads);
void pool_free(Pool *);

/* Run tasks 0 to tasks - 1 and wait for all; each is told which thread it is on. Threads that wake up when
   nothing is left to do are not waited for. */
void share(Pool *, Task, void *job, int tasks);
