#include "pool.h"
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#define PATIENCE 2000 /* looks for more work before a thread goes to sleep, some tens of microseconds */

typedef struct {
    Pool *pool;
    int thread;
} Member;

static inline void breathe(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(Pool *pool, int thread) {
    for (int i = 0; i < pool->threads; i++) {
        Stretch *s = pool->stretches + (thread + i) % pool->threads;
        int task;
        while ((task = atomic_fetch_add(&s->next, 1)) < s->end) pool->run(pool->job, task, thread);
    }
}

static void *serve(void *given) {
    Member member = *(Member *)given;
    free(given);
    Pool *pool = member.pool;
    for (int seen = 0;;) {
        for (int i = 0; i < PATIENCE && atomic_load(&pool->round) == seen; i++) breathe();
        pthread_mutex_lock(&pool->lock);
        while (atomic_load(&pool->round) == seen) pthread_cond_wait(&pool->wake, &pool->lock);
        seen = atomic_load(&pool->round);
        int ending = pool->ending, late = !pool->open;
        if (!late) atomic_fetch_add(&pool->busy, 1);
        pthread_mutex_unlock(&pool->lock);
        if (ending) return NULL;
        if (late) continue;
        work(pool, member.thread);
        atomic_fetch_sub(&pool->busy, 1);
    }
}

static void set_open(Pool *pool, int open) {
    pthread_mutex_lock(&pool->lock);
    pool->open = open;
    if (open) {
        atomic_fetch_add(&pool->round, 1);
        pthread_cond_broadcast(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
}

void share(Pool *pool, Task run, void *job, int tasks) {
    pool->run = run, pool->job = job;
    for (int i = 0; i < pool->threads; i++) {
        Stretch *s = pool->stretches + i;
        atomic_store(&s->next, (int)((int64_t)tasks * i / pool->threads));
        s->end = (int64_t)tasks * (i + 1) / pool->threads;
    }
    set_open(pool, 1);
    work(pool, 0);
    set_open(pool, 0);
    for (int i = 0; atomic_load(&pool->busy); i++)
        if (i < PATIENCE) breathe();
        else sched_yield();
}

void pool_free(Pool *pool) {
    if (!pool) return;
    pool->ending = 1;
    set_open(pool, 1);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->others[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->others), free(pool->stretches);
    free(pool);
}

Pool *pool_new(int threads) {
    Pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->threads = threads;
    pool->others = calloc(threads, sizeof *pool->others);
    pool->stretches = aligned_alloc(sizeof *pool->stretches, threads * sizeof *pool->stretches);
    if (!pool->others || !pool->stretches) {
        free(pool->others), free(pool->stretches), free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    while (pool->started < threads - 1) {
        Member *member = malloc(sizeof *member);
        if (!member) break;
        *member = (Member){pool, pool->started + 1};
        if (pthread_create(&pool->others[pool->started], NULL, serve, member)) {
            free(member);
            break;
        }
        pool->started++;
    }
    return pool;
}
