/* A stand-in for libnvidia-ml.so.1: answers from lines of key=value in the file that $NVML_STUB names.
 *
 * A missing key answers "not supported" (3); a value of !N answers the return code N; `hang` and `crash` name a key at
 * which the library waits for ever or fails. With -DOLD_DRIVER it lacks what drivers before 450 lack. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NOT_SUPPORTED 3
#define NOT_LOADED 9

typedef uintptr_t handle;

static int lookup(const char *key, char *value, size_t size) {
  const char *path = getenv("NVML_STUB");
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[512];
  size_t length = strlen(key);
  int code = NOT_SUPPORTED;
  if (!file) return NOT_LOADED;
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (!strncmp(line, key, length) && line[length] == '=') {
      snprintf(value, size, "%s", line + length + 1);
      code = 0;
      break;
    }
  }
  fclose(file);
  return code;
}

static int get(const char *key, char *value, size_t size) {
  char name[128];
  if (!lookup("hang", name, sizeof name) && !strcmp(name, key))
    for (;;) pause();
  if (!lookup("crash", name, sizeof name) && !strcmp(name, key)) raise(SIGSEGV);
  int code = lookup(key, value, size);
  return !code && value[0] == '!' ? atoi(value + 1) : code;
}

static int of_device(handle device, const char *fact, char *value, size_t size) {
  char key[128];
  snprintf(key, sizeof key, "%lu.%s", (unsigned long)device - 1, fact);
  return get(key, value, size);
}

static int text(handle device, const char *fact, char *out, unsigned size) {
  char value[256];
  int code = device ? of_device(device, fact, value, sizeof value) : get(fact, value, sizeof value);
  if (!code) snprintf(out, size, "%s", value);
  return code;
}

static int number(handle device, const char *fact, unsigned *out) {
  char value[256];
  int code = of_device(device, fact, value, sizeof value);
  if (!code) *out = (unsigned)strtoul(value, NULL, 0);
  return code;
}

EXPORT int nvmlInitWithFlags(unsigned flags) {
  char value[64];
  int code = get("init", value, sizeof value);
  (void)flags;
  printf("a library that prints\n");
  fflush(stdout);
  return code == NOT_SUPPORTED ? 0 : code;
}
EXPORT int nvmlShutdown(void) { return 0; }
EXPORT const char *nvmlErrorString(int code) { return code ? "GPU-8f6c6a3e-1111-2222-3333-444455556666 failed" : ""; }
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned size) { return text(0, "driver", out, size); }
EXPORT int nvmlSystemGetNVMLVersion(char *out, unsigned size) { return text(0, "nvml", out, size); }
EXPORT int nvmlSystemGetCudaDriverVersion(int *out) {
  char value[64];
  int code = get("cuda", value, sizeof value);
  if (!code) *out = atoi(value);
  return code;
}
EXPORT int nvmlDeviceGetCount_v2(unsigned *out) {
  char value[64];
  int code = get("count", value, sizeof value);
  if (!code) *out = (unsigned)atoi(value);
  return code;
}
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out) {
  char value[64];
  *out = index + 1;
  int code = of_device(*out, "handle", value, sizeof value);
  return code == NOT_SUPPORTED ? 0 : code;
}
EXPORT int nvmlDeviceGetName(handle device, char *out, unsigned size) { return text(device, "name", out, size); }
EXPORT int nvmlDeviceGetUUID(handle device, char *out, unsigned size) { return text(device, "uuid", out, size); }
EXPORT int nvmlDeviceGetSerial(handle device, char *out, unsigned size) { return text(device, "serial", out, size); }
EXPORT int nvmlDeviceGetBoardPartNumber(handle device, char *out, unsigned size) {
  return text(device, "part", out, size);
}
EXPORT int nvmlDeviceGetVbiosVersion(handle device, char *out, unsigned size) {
  return text(device, "vbios", out, size);
}
EXPORT int nvmlDeviceGetGspFirmwareVersion(handle device, char *out) { return text(device, "gsp", out, 64); }
EXPORT int nvmlDeviceGetCudaComputeCapability(handle device, int *major, int *minor) {
  char value[64];
  int code = of_device(device, "arch", value, sizeof value);
  if (!code) sscanf(value, "%d.%d", major, minor);
  return code;
}
EXPORT int nvmlDeviceGetArchitecture(handle device, unsigned *out) { return number(device, "architecture", out); }
EXPORT int nvmlDeviceGetMemoryInfo(handle device, unsigned long long *out) {
  unsigned mib = 0;
  int code = number(device, "mib", &mib);
  out[0] = (unsigned long long)mib << 20;
  return code;
}
EXPORT int nvmlDeviceGetMemoryInfo_v2(handle device, unsigned long long *out) {
  return nvmlDeviceGetMemoryInfo(device, out + 1);
}
EXPORT int nvmlDeviceGetEccMode(handle device, unsigned *current, unsigned *pending) {
  *pending = 0;
  return number(device, "ecc", current);
}
EXPORT int nvmlDeviceGetPersistenceMode(handle device, unsigned *out) { return number(device, "persistence", out); }
EXPORT int nvmlDeviceGetComputeMode(handle device, unsigned *out) { return number(device, "compute-mode", out); }
EXPORT int nvmlDeviceGetNvLinkState(handle device, unsigned link, unsigned *out) {
  unsigned links = 0;
  int code = number(device, "links", &links);
  *out = 1;
  return code ? code : link < links ? 0 : 2;
}
EXPORT int nvmlDeviceGetTopologyCommonAncestor(handle one, handle other, unsigned *out) {
  (void)other;
  return number(one, "topology", out);
}
#ifndef OLD_DRIVER
struct pci_info {
  char legacy[16];
  unsigned domain, bus, device, model, subsystem;
  char address[32];
};
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *out) { return nvmlSystemGetCudaDriverVersion(out); }
EXPORT int nvmlDeviceGetPciInfo_v3(handle device, struct pci_info *out) {
  memset(out, 0, sizeof *out);
  text(device, "address", out->address, sizeof out->address);
  return number(device, "pci", &out->model);
}
EXPORT int nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending) {
  *pending = 0;
  return number(device, "mig", current);
}
EXPORT int nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *out) { return number(device, "migs", out); }
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *out) {
  *out = device * 100 + index;
  return 0;
}
EXPORT int nvmlDeviceGetAttributes_v2(handle device, unsigned *out) {
  char key[64], value[64];
  unsigned long long *memory = (unsigned long long *)(out + 8);
  snprintf(key, sizeof key, "mig%lu", (unsigned long)(device % 100));
  int code = of_device(device / 100, key, value, sizeof value);
  if (!code) sscanf(value, "%u:%llu", out + 6, memory);
  return code;
}
EXPORT int nvmlDeviceGetVirtualizationMode(handle device, unsigned *out) { return number(device, "virtualization", out); }
#endif
