#!/bin/busybox sh
# Process 1 of the guest: prepares what a test may expect of a Linux system, runs /np/run/N/run for N = 0, 1, …, and reports.
# Channels to the host (virtio serial ports): np.out takes what the tests print, np.ctl one line per event, np.files tar archives.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C
umask 022
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/net
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
# The root is a tmpfs, so /tmp and /run are; mounts there would hide a program that the host has below /tmp.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
# Opening the node loads the module.
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
for controller in cpu io memory pids; do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
done
hostname vm
ip link set lo up
modprobe virtio_pci 2>/dev/null
modprobe virtio_console 2>/dev/null

port() {
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    for entry in /sys/class/virtio-ports/*; do
      if [ "$(cat "$entry/name" 2>/dev/null)" = "$1" ]; then
        echo "/dev/${entry##*/}"
        return
      fi
    done
    usleep 100000
  done
  echo "netpolicy-vm: no port $1" >/dev/kmsg
  poweroff -f
}
uptime() { cut -d ' ' -f 1 /proc/uptime; }
mark() { echo "<4>netpolicy-vm: $*" >/dev/kmsg; }

out=$(port np.out)
files=$(port np.files)
exec 4>"$(port np.ctl)"
mkdir -p /np/log
mark boot
echo "boot $(uptime) $(uname -r)" >&4

n=0
while [ -d "/np/run/$n" ]; do
  # So many seconds after boot no other is begun.
  if [ -e /np/deadline ] && [ "$(cut -d . -f 1 /proc/uptime)" -ge "$(cat /np/deadline)" ]; then
    echo "late $n" >&4
    n=$((n + 1))
    continue
  fi
  mark "$(cat "/np/run/$n/name")"
  echo "start $n $(uptime)" >&4
  # A port can be opened once at a time, so the test gets a pipe.
  mkfifo /np/pipe
  cat </np/pipe >"$out" 4>&- &
  copier=$!
  setsid "/np/run/$n/run" </dev/null >/np/pipe 2>&1 4>&-
  code=$?
  # What a test left running may hold the pipe: give the copier a moment, not for ever.
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 "$copier" 2>/dev/null || break
    usleep 50000
  done
  # And nothing of it may meet the next test; all processes but this one.
  kill -KILL -1 2>/dev/null
  wait "$copier" 2>/dev/null
  rm /np/pipe
  # At once, as a later program may end the machine. The host reads the archives one after another.
  tar -c -C / -f "$files" "$(cat "/np/run/$n/outputs")" 2>/dev/null
  echo "end $n $code $(uptime)" >&4
  n=$((n + 1))
done

mark end
dmesg >/np/log/dmesg
tar -c -C / -f "$files" np/log/dmesg
echo "done $(uptime)" >&4
sync
poweroff -f
