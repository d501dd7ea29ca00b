# Shared by the peer scripts: where everything is kept. Sourced, not run.
#
# Peers are third-party servers for tests. They listen on 127.0.0.1 only.
peers=${HEADWATER_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/headwater-peers}

# wait_for URL SECONDS waits until URL answers.
wait_for() {
  local i
  for ((i = 0; i < $2 * 10; i++)); do
    if curl -fs -o /dev/null "$1"; then return 0; fi
    sleep 0.1
  done
  echo "$1 did not answer within $2 s" >&2
  return 1
}

# stop_pid FILE ends the process whose id FILE holds, and waits for it.
stop_pid() {
  local pid i
  [ -f "$1" ] || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < 200; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  rm -f "$1"
}
