/* Loads and launches kernels on the word of another process.
 *
 * Use: runner SOCKET MEMORY EMULATORS THUNKS COUNTS
 *   SOCKET     file descriptor of a connected stream socket
 *   MEMORY     file descriptor of the memory that kernels work on, shared with the other process
 *   EMULATORS  names of the instruction emulators to use, as in traps.h
 *   THUNKS     1: what they serve becomes jumps where a kernel is loaded; 0: it traps
 *   COUNTS     file descriptor of the counts of instructions, as in insn_count.c; -1 where nobody counts
 *
 * Every request is a struct request and its payload, every answer one struct reply, before which
 * any number of those with printed text may come.  All numbers are little endian.  The program ends when the socket is closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "loader.h"
#include "pool.h"
#include "record.h"
#include "services.h"
#include "traps.h"

enum request_kind { LOAD = 1, UNLOAD, LAUNCH, PING, COUNTS };
enum reply_kind { OK = 1, FAILED, FAULT, PRINTED, COUNTED, RECORDED };
enum { STACK_BYTES = 16 << 20, GUARD_BYTES = 16 << 20 };

struct request {
  uint32_t kind, payload_bytes;
};

/* LOAD: number of slots, is_pointer per slot (bytes), the name with its NUL, the shared object. */
/* UNLOAD: the module, as LOAD answered it. */

struct launch {
  uint64_t module;
  uint64_t memory_bytes;
  struct vertebra_request request; /* `kernel` is filled in here; pointers are offsets in the memory */
};

struct reply {
  uint32_t kind;
  int32_t status;     /* errno of a FAILED launch; the signal of a FAULT */
  uint64_t value;     /* LOAD: the module; LAUNCH: its duration in nanoseconds; FAULT: the pc;
                         FAILED, PRINTED, COUNTED, RECORDED: the bytes that follow */
  uint64_t address;   /* FAULT: what was accessed */
  uint64_t word;      /* FAULT: the illegal instruction */
  uint64_t base;      /* FAULT: where the kernel that holds the pc is loaded, or 0 */
  uint64_t memory;    /* FAULT: where the shared memory is mapped */
  char text[208];     /* FAULT: name of the kernel that holds the pc */
};

static int control;
static int memory_file;
static uint8_t *memory;
static uint64_t memory_bytes;
static bool thunks;

static void send_bytes(const void *bytes, size_t left) {
  for (const char *at = bytes; left;) {
    ssize_t sent = write(control, at, left);
    if (sent < 0 && errno != EINTR)
      _exit(1);
    if (sent > 0)
      at += sent, left -= (size_t)sent;
  }
}

static void send_reply(const struct reply *reply) { send_bytes(reply, sizeof *reply); }

static void send_with(struct reply reply, const void *bytes, size_t count) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* programs print from many threads */
  reply.value = count;
  pthread_mutex_lock(&lock);
  send_reply(&reply);
  send_bytes(bytes, count);
  pthread_mutex_unlock(&lock);
}

static void send_text(struct reply reply, const char *text) { send_with(reply, text, strlen(text)); }

static void print(const char *text) { send_text((struct reply){.kind = PRINTED}, text); }

static void tell_records(const void *piece, int64_t bytes) {
  send_with((struct reply){.kind = RECORDED}, piece, (size_t)bytes);
}

static void receive(void *to, size_t bytes) {
  for (char *at = to; bytes;) {
    ssize_t got = read(control, at, bytes);
    if (got == 0 || (got < 0 && errno != EINTR))
      _exit(0);
    if (got > 0)
      at += got, bytes -= (size_t)got;
  }
}

_Noreturn void report_fault(int signal, uint64_t pc, uint64_t address, uint32_t word) {
  const struct module *module = module_at(pc);
  struct reply reply = {.kind = FAULT, .status = signal, .value = pc, .address = address, .word = word,
                        .base = module ? (uint64_t)module->base : 0, .memory = (uint64_t)memory};
  if (module)
    strncpy(reply.text, module->name, sizeof reply.text - 1);
  send_reply(&reply);
  _exit(1);
}

static void fail(const char *why, int status) {
  send_text((struct reply){.kind = FAILED, .status = status}, why);
}

static void load(const uint8_t *payload, size_t bytes) {
  uint64_t slots;
  memcpy(&slots, payload, sizeof slots);
  const uint8_t *is_pointer = payload + sizeof slots;
  const char *name = (const char *)is_pointer + slots;
  const uint8_t *elf = (const uint8_t *)name + strlen(name) + 1;
  struct module *module;
  /* The loader reads structures: bring the object to an aligned address. */
  size_t elf_bytes = bytes - (size_t)(elf - payload);
  uint8_t *aligned = malloc(elf_bytes), *pointers = malloc(slots + 1);
  if (!aligned || !pointers) {
    free(aligned);
    free(pointers);
    fail("there is not enough memory", ENOMEM);
    return;
  }
  memcpy(aligned, elf, elf_bytes);
  memcpy(pointers, is_pointer, slots);
  const char *wrong = module_load(aligned, elf_bytes, name, thunks, &module);
  free(aligned);
  if (wrong) {
    free(pointers);
    fail(wrong, 0);
    return;
  }
  module->slots = slots;
  module->is_pointer = pointers;
  send_reply(&(struct reply){.kind = OK, .value = (uint64_t)module});
}

/* Maps the shared memory anew after it has changed its size, between two guards. */
static int map_memory(uint64_t bytes) {
  if (bytes == memory_bytes)
    return 0;
  if (memory)
    munmap(memory - GUARD_BYTES, memory_bytes + 2 * GUARD_BYTES);
  memory = NULL;
  memory_bytes = 0;
  uint8_t *all = mmap(NULL, bytes + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED)
    return errno;
  uint8_t *at = all + GUARD_BYTES;
  if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory_file, 0) == MAP_FAILED) {
    int why = errno;
    munmap(all, bytes + 2 * GUARD_BYTES);
    return why;
  }
  memory = at;
  memory_bytes = bytes;
  return 0;
}

static void launch(struct launch *launch) {
  const struct module *module = (const struct module *)launch->module;
  struct vertebra_request *request = &launch->request;
  int status = map_memory(launch->memory_bytes);
  if (status) {
    fail("the memory of the arguments cannot be mapped", status);
    return;
  }
  for (uint64_t i = 0; i < module->slots; i++)
    if (module->is_pointer[i])
      request->slots[i] += (uint64_t)memory;
  request->kernel = module->entry;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  status = vertebra_launch_request(request);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const char *unfinished = traps_unfinished();
  if (status == VERTEBRA_FAILED) {
    fail(vertebra_failure(), 0);
    return;
  }
  if (status) {
    fail("", status);
    return;
  }
  if (unfinished) {
    fail(unfinished, 0);
    return;
  }
  int64_t nanoseconds = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
  send_reply(&(struct reply){.kind = OK, .value = (uint64_t)nanoseconds});
}

static char counted[8192]; /* lines of a mnemonic and its count */

static void tell_count(const char *mnemonic, uint64_t count) {
  size_t used = strlen(counted);
  if (count)
    snprintf(counted + used, sizeof counted - used, "%s %llu\n", mnemonic, (unsigned long long)count);
}

static void *serve(void *unused) {
  traps_prepare_thread();
  for (;;) {
    struct request request;
    receive(&request, sizeof request);
    uint8_t *payload = malloc(request.payload_bytes + 1u);
    if (!payload)
      _exit(1);
    receive(payload, request.payload_bytes);
    switch (request.kind) {
    case LOAD:
      load(payload, request.payload_bytes);
      break;
    case UNLOAD:
      module_unload(*(struct module **)payload);
      send_reply(&(struct reply){.kind = OK});
      break;
    case LAUNCH:
      launch((struct launch *)payload);
      break;
    case COUNTS:
      counted[0] = 0;
      traps_counts(tell_count);
      send_text((struct reply){.kind = COUNTED}, counted);
      break;
    case PING:
      send_reply(&(struct reply){.kind = OK});
      break;
    default:
      fail("there is no such request", EINVAL);
    }
    free(payload);
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 6)
    return 2;
  control = atoi(argv[1]);
  memory_file = atoi(argv[2]);
  thunks = atoi(argv[4]);
  int counts = atoi(argv[5]);
  if (counts >= 0) {
    void *all = mmap(NULL, sizeof *vertebra_instruction_count, PROT_READ, MAP_SHARED, counts, 0);
    if (all == MAP_FAILED) {
      perror("the counts of instructions cannot be mapped");
      return 2;
    }
    vertebra_instruction_count = all;
  }
  const char *unknown = traps_install(argv[3]);
  if (unknown) {
    fprintf(stderr, "there is no emulator for %s\n", unknown);
    return 2;
  }
  vertebra_print_sink = print;
  vertebra_record_sink = tell_records;
  vertebra_pool_on_thread_start = traps_prepare_thread;
  /* Kernels run on a thread whose stack is as large as the pool's. */
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_attr_setguardsize(&attributes, GUARD_BYTES);
  pthread_t server;
  if (pthread_create(&server, &attributes, serve, NULL))
    return 1;
  /* Meanwhile watch for the other side's end, which must also end a kernel that does not. */
  struct pollfd watched = {.fd = control};
  while (poll(&watched, 1, -1) < 0 && errno == EINTR) {
  }
  _exit(0);
}
