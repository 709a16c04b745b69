/* A stand-in for libcuda.so.1: the version of its API is -DVERSION=13000, and its return code -DCODE=0. */
__attribute__((visibility("default"))) int cuDriverGetVersion(int *version) {
  *version = VERSION;
  return CODE;
}
