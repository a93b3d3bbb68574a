#define _GNU_SOURCE
#include "loader.h"
#include "thunks.h"
#include "services.h"

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };
#define FLUSH_ICACHE 259 /* riscv_flush_icache */

static struct module *modules;

static uint64_t page_up(uint64_t n) { return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1); }
static uint64_t page_down(uint64_t n) { return n & ~(uint64_t)(PAGE - 1); }

/* Maps `bytes` bytes at the lowest free place of the window, between *link and its successor. */
static uint8_t *reserve(size_t bytes, struct module ***link) {
  uint64_t at = KERNEL_WINDOW_BEGIN;
  for (*link = &modules; **link && at + bytes > (uint64_t)(**link)->base; *link = &(**link)->next)
    at = (uint64_t)(**link)->base + (**link)->bytes + PAGE; /* a page of nothing between two kernels */
  if (at + bytes > KERNEL_WINDOW_END)
    return NULL;
  void *got = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED)
    return NULL;
  if (got != (void *)at) {
    munmap(got, bytes);
    return NULL;
  }
  return got;
}

/* What the dynamic section says, as addresses in memory. */
struct dynamic {
  const Elf64_Sym *symbols;
  const char *strings;
  const uint32_t *hash; /* [1] is the number of symbols */
  const Elf64_Rela *rela, *plt;
  size_t rela_count, plt_count;
};

static struct dynamic read_dynamic(uint8_t *base, const Elf64_Dyn *entry) {
  struct dynamic d = {0};
  for (; entry->d_tag != DT_NULL; entry++) {
    void *at = base + entry->d_un.d_ptr;
    switch (entry->d_tag) {
    case DT_SYMTAB: d.symbols = at; break;
    case DT_STRTAB: d.strings = at; break;
    case DT_HASH: d.hash = at; break;
    case DT_RELA: d.rela = at; break;
    case DT_JMPREL: d.plt = at; break;
    case DT_RELASZ: d.rela_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
    case DT_PLTRELSZ: d.plt_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
    default: break;
    }
  }
  return d;
}

#define PROVIDED(function) {#function, (uint64_t)(uintptr_t)(function)}

/* What an object may leave undefined; see core/abi.py. */
static const struct {
  const char *name;
  uint64_t address;
} provided[] = {
    PROVIDED(memcpy),
    PROVIDED(memmove),
    PROVIDED(memset),
    PROVIDED(vertebra_print),
    PROVIDED(vertebra_fail),
    PROVIDED(vertebra_fail_as),
    PROVIDED(vertebra_out_of_bounds),
    PROVIDED(vertebra_record),
    PROVIDED(vertebra_stream_threads),
    PROVIDED(vertebra_parallel),
    PROVIDED(vertebra_programs),
    PROVIDED(vertebra_barrier_init),
    PROVIDED(vertebra_barrier_at),
    PROVIDED(vertebra_barrier_global),
    PROVIDED(vertebra_barrier_arrive),
    PROVIDED(vertebra_barrier_wait),
    PROVIDED(vertebra_barrier_expect),
    PROVIDED(vertebra_barrier_release),
};

static uint64_t symbol_value(const uint8_t *base, const struct dynamic *d, uint32_t index) {
  const Elf64_Sym *symbol = &d->symbols[index];
  if (symbol->st_shndx != SHN_UNDEF)
    return (uint64_t)base + symbol->st_value;
  const char *name = d->strings + symbol->st_name;
  for (size_t i = 0; i < sizeof provided / sizeof *provided; i++)
    if (!strcmp(name, provided[i].name))
      return provided[i].address;
  return 0;
}

static const char *relocate(uint8_t *base, const struct dynamic *d, const Elf64_Rela *rela, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t value;
    switch (ELF64_R_TYPE(rela[i].r_info)) {
    case R_RISCV_RELATIVE:
      value = (uint64_t)base;
      break;
    case R_RISCV_64:
    case R_RISCV_JUMP_SLOT:
      value = symbol_value(base, d, ELF64_R_SYM(rela[i].r_info));
      if (!value)
        return "it needs a symbol that is no service of this runtime";
      break;
    default:
      return "it has a relocation other than RELATIVE, 64 and JUMP_SLOT";
    }
    value += (uint64_t)rela[i].r_addend;
    memcpy(base + rela[i].r_offset, &value, sizeof value);
  }
  return NULL;
}

/* The next section of code after section *index, from -1; NULL where there is none. */
static const Elf64_Shdr *next_code(const uint8_t *elf, size_t bytes, int *index) {
  const Elf64_Ehdr *header = (const void *)elf;
  const Elf64_Shdr *sections = (const void *)(elf + header->e_shoff);
  if (header->e_shoff + header->e_shnum * sizeof *sections > bytes)
    return NULL;
  while (++*index < header->e_shnum) {
    const Elf64_Shdr *s = &sections[*index];
    if (s->sh_flags & SHF_EXECINSTR && s->sh_type == SHT_PROGBITS && s->sh_offset + s->sh_size <= bytes)
      return s;
  }
  return NULL;
}

static const char *fill(struct module *module, const uint8_t *elf, size_t bytes) {
  const Elf64_Ehdr *header = (const void *)elf;
  const Elf64_Phdr *segments = (const void *)(elf + header->e_phoff);
  const Elf64_Dyn *entries = NULL;
  for (int i = 0; i < header->e_phnum; i++) {
    if (segments[i].p_type == PT_DYNAMIC)
      entries = (const void *)(module->base + segments[i].p_vaddr);
    if (segments[i].p_type != PT_LOAD)
      continue;
    if (segments[i].p_offset + segments[i].p_filesz > bytes)
      return "a segment lies beyond its end";
    memcpy(module->base + segments[i].p_vaddr, elf + segments[i].p_offset, segments[i].p_filesz);
  }
  if (!entries)
    return "it has no dynamic section";
  struct dynamic d = read_dynamic(module->base, entries);
  if (!d.symbols || !d.strings || !d.hash)
    return "it has no table of symbols";
  const char *wrong = relocate(module->base, &d, d.rela, d.rela_count);
  if (!wrong)
    wrong = relocate(module->base, &d, d.plt, d.plt_count);
  if (wrong)
    return wrong;
  for (uint32_t i = 1; i < d.hash[1]; i++)
    if (d.symbols[i].st_shndx != SHN_UNDEF && !strcmp(d.strings + d.symbols[i].st_name, module->name))
      module->entry = (vertebra_kernel *)(module->base + d.symbols[i].st_value);
  if (!module->entry)
    return "it exports no function of that name";
  uint8_t *thunk = module->base + module->thunks;
  for (int i = -1; module->thunks < module->bytes;) {
    const Elf64_Shdr *code = next_code(elf, bytes, &i);
    if (!code)
      break;
    thunk = thunks_make(module->base + code->sh_addr, code->sh_size, thunk);
  }
  if (module->thunks < module->bytes &&
      mprotect(module->base + module->thunks, module->bytes - module->thunks, PROT_READ | PROT_EXEC))
    return "its thunks cannot be protected";
  for (int i = 0; i < header->e_phnum; i++) {
    const Elf64_Phdr *s = &segments[i];
    int access = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) |
                 (s->p_flags & PF_X ? PROT_EXEC : 0);
    uint64_t begin = page_down(s->p_vaddr), end = page_up(s->p_vaddr + s->p_memsz);
    if (s->p_type == PT_LOAD && mprotect(module->base + begin, end - begin, access))
      return "its segments cannot be protected";
  }
  syscall(FLUSH_ICACHE, module->base, module->base + module->bytes, 0);
  return NULL;
}

const char *module_load(const uint8_t *elf, size_t bytes, const char *name, bool thunks,
                        struct module **result) {
  const Elf64_Ehdr *header = (const void *)elf;
  if (bytes < sizeof *header || memcmp(elf, ELFMAG, SELFMAG) || header->e_type != ET_DYN ||
      header->e_machine != EM_RISCV || header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr) > bytes)
    return "it is not a shared object for RISC-V";
  const Elf64_Phdr *segments = (const void *)(elf + header->e_phoff);
  uint64_t span = 0;
  for (int i = 0; i < header->e_phnum; i++)
    if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr + segments[i].p_memsz > span)
      span = segments[i].p_vaddr + segments[i].p_memsz;
  struct module *module = calloc(1, sizeof *module);
  struct module **link;
  if (!module || !(module->name = strdup(name))) {
    free(module);
    return "there is not enough memory";
  }
  module->thunks = module->bytes = page_up(span);
  if (thunks) {
    size_t needed = 0;
    int i = -1;
    for (const Elf64_Shdr *code; (code = next_code(elf, bytes, &i));)
      needed += thunks_bytes(elf + code->sh_offset, code->sh_size);
    module->bytes += page_up(needed);
  }
  module->base = reserve(module->bytes, &link);
  if (!module->base) {
    free(module->name);
    free(module);
    return "there is no room left for kernels";
  }
  module->next = *link;
  *link = module;
  const char *wrong = fill(module, elf, bytes);
  if (wrong) {
    module_unload(module);
    return wrong;
  }
  *result = module;
  return NULL;
}

void module_unload(struct module *module) {
  struct module **link = &modules;
  while (*link != module)
    link = &(*link)->next;
  *link = module->next;
  munmap(module->base, module->bytes);
  free(module->is_pointer);
  free(module->name);
  free(module);
}

const struct module *module_at(uint64_t address) {
  for (const struct module *m = modules; m; m = m->next)
    if (address - (uint64_t)m->base < m->bytes)
      return m;
  return NULL;
}
