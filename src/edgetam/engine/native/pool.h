/* Threads that share tasks: each takes the next when it is done, so that none waits for a slower one. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

typedef void (*Task)(void *job, int task, int thread);

typedef struct {
    int threads, started;
    pthread_t *others;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int round, next, busy;
    int open, ending; /* under the lock */
    Task run;
    void *job;
    int tasks;
} Pool;

/* With the caller as one of the threads; fewer where the system gives no more. NULL: no memory. */
Pool *pool_new(int threads);
void pool_free(Pool *);

/* Run tasks 0 to tasks - 1 and wait for all; each is told which thread it is on. Threads that wake up when
   nothing is left to do are not waited for. */
void share(Pool *, Task, void *job, int tasks);
