#!/usr/bin/env bash
# Runs a firmware in QEMU, on the board that it is linked for; the exit status is the firmware's.
# The messages of one that speaks defmt are decoded: `cargo install --locked defmt-print`.
set -u -o pipefail
case $1 in
*/thumbv6m-none-eabi/*) board="qemu-system-arm -M microbit" ;;
*/thumbv7em-none-eabihf/*) board="qemu-system-arm -M mps2-an386" ;;
*/riscv32*) board="qemu-system-riscv32 -M virt -bios none" ;;
*) echo "$0: no board for $1" >&2 && exit 2 ;;
esac
decode=cat
grep -q _defmt_version_ "$1" && decode="defmt-print -e $1"
# An instruction takes 128 ns, so that the system timer counts instructions.
case $1 in */count) board="$board -icount shift=7,align=off,sleep=off" ;; esac
# shellcheck disable=SC2086
timeout 600 $board -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel "$1" </dev/null | $decode
