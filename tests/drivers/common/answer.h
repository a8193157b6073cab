// Answers of the programs in C: one line of JSON for each command (../README.md). For one thread.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void answer_text(const char* key, const char* text) {
  printf(", \"%s\": \"", key);
  for (; text != NULL && *text != '\0'; ++text) {
    const unsigned char byte = (unsigned char)*text;
    if (byte == '"' || byte == '\\')
      printf("\\%c", byte);
    else if (byte < 0x20)
      printf("\\u%04x", byte);
    else
      putchar(byte);
  }
  putchar('"');
}

static inline void answer_end(void) {
  printf("}\n");
  fflush(stdout);
}

static inline void answer_ok(void) {
  printf("{\"ok\": true");
  answer_end();
}

static inline void answer_version(const char* version) {
  printf("{\"ok\": true");
  answer_text("version", version);
  answer_end();
}

static inline void answer_unsupported(void) {
  printf("{\"unsupported\": true");
  answer_end();
}

static inline const char* environment(const char* name) {
  const char* value = getenv(name);
  return value != NULL ? value : "";
}

/* Whether there is one more command; without its line end. */
static inline int next_command(char* command, int size) {
  if (fgets(command, size, stdin) == NULL) return 0;
  command[strcspn(command, "\n")] = '\0';
  return 1;
}
