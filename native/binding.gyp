{
  # C only, one target. `npm run build:native` passes --nodedir so that the headers beside the running node are
  # used and nothing is downloaded. NAPI_VERSION 8 is what Node 20, 22 and 24 share.
  "targets": [
    {
      "target_name": "omni",
      "sources": ["module.c", "arguments.c", "tun.c", "reactor.c", "packets.c", "realtime.c", "tcp.c"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags_c": ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror=implicit", "-fvisibility=hidden"],
    }
  ]
}
