# Measures how long the program of the container beside this one takes from its
# start to its first answer by HTTP: hundredths of a second, to the file $3. The
# containers share their processes and their network. Arguments: the port, and how
# many seconds to wait at most. The programs are BusyBox's or Debian's.
set -u
port=$1
limit=$2
result=$3

# Hundredths of a second since the boot, as the kernel counts starts of processes.
now() {
  read -r up _ </proc/uptime
  now=${up%.*}${up#*.}
}
fail() {
  echo "$*" >"$result"
  exit 1
}
expired() {
  now
  [ "$now" -ge "$deadline" ]
}

# A container's first process has no parent here; the first of all is the pod's own.
find_start() {
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    if [ "$pid" = 1 ] || [ "$pid" = $$ ]; then continue; fi
    { read -r line <"$directory/stat"; } 2>/dev/null || continue
    # The name in parentheses may hold anything.
    set -- ${line##*) }
    if [ "$2" = 0 ]; then
      start=${20}
      return 0
    fi
  done
  return 1
}

ports() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ address _ state _; do
      [ "$state" != 0A ] || echo "${address##*:}"
    done <"$table"
  done
}
listens() {
  case " $(ports | tr '\n' ' ')" in
    *" $(printf %04X "$port") "*) return 0 ;;
  esac
  return 1
}

# The first line of the answer. wget goes on where a redirection leads, and reads all
# that exists: it ends as soon as its output is closed.
if command -v wget >/dev/null; then
  ask() {
    wget -S -q -O - -T 30 "http://127.0.0.1:$port/" 2>&1
  }
else
  ask() {
    bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" >&3 && IFS= read -r -t 30 line <&3 && echo "$line"' bash "$port" 2>/dev/null
  }
fi
# Whatever the answer is, it is one.
answers() {
  ask | {
    read -r line
    case $line in
      HTTP/*) now && echo $((now - start)) >"$result" ;;
      *) exit 1 ;;
    esac
  }
}

# The caller bounds the wait for the program's container.
until find_start; do sleep 0.01; done
deadline=$((start + limit * 100))
until listens; do
  if expired; then
    others=
    for other in $(ports | sort -u); do others="$others $((0x$other))"; done
    fail "nothing listens on port $port within $limit seconds${others:+; what does listens on$others}"
  fi
  sleep 0.01
done
until answers; do
  ! expired || fail "no answer by HTTP on port $port within $limit seconds"
  sleep 0.01
done
