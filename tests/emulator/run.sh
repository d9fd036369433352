#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh BOCHS KERNEL PROGRAM.. - runs tests on an emulated Sapphire Rapids: BOCHS is the folder that
# Bochs was built in, KERNEL a vmlinuz with a serial console, PROGRAM a test program that was built
# (its libraries come along). It prints what they print; status 0 if all pass. With EXCLUDE=amx the
# processor has AVX512-BF16 alone. Needs busybox (static), cpio, isolinux and xorriso.
set -euo pipefail
cd "$(dirname "$0")/../.."
bochs=$(realpath "${1:?usage: run.sh BOCHS KERNEL PROGRAM..}") kernel=$(realpath "${2:?no kernel}")
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# The folder of the sources is where it is here: tests read checkpoints there.
mkdir -p "$root"/{bin,proc,sys,dev,tmp,"$PWD/tests/data"} "$work/disc/isolinux"
cp "$(command -v busybox)" "$root/bin/busybox"
cp -r tests/data/{qwen2vl-tiny,families} "$root$PWD/tests/data"
cp -r models "$root$PWD"
for program in "$@"; do
    program=$(realpath "$program")
    for file in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$root${file%/*}"
        cp -nL "$file" "$root$file"
    done
    echo "$program || echo not passed" >> "$work/programs"
done
cat > "$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
cd $PWD
export OMP_WAIT_POLICY=passive
$(cat "$work/programs")
echo all ran
sleep 2 # until it is sent
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$work/disc/initrd"
cp "$kernel" "$work/disc/kernel"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/disc/isolinux"
# Bochs does not say that it moves strings fast, after which Linux 6.1 is wrong about it (580: fsrm).
cat > "$work/disc/isolinux/isolinux.cfg" <<'END'
DEFAULT l
LABEL l
KERNEL /kernel
INITRD /initrd
APPEND console=ttyS0 quiet mitigations=off nokaslr no5lvl no_timer_check clearcpuid=580
END
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/disc" 2>/dev/null

exclude=
[[ ${EXCLUDE:-} != amx ]] || exclude='exclude_features="amx,amx_bf16,amx_int8", '
cat > "$work/bochsrc" <<END
config_interface: textconfig
display_library: nogui
megs: 1500
cpu: model=sapphire_rapids, count=1, ips=100000000, ${exclude}ignore_bad_msrs=1, cpuid_freq=ips
romimage: file=$bochs/bios/BIOS-bochs-latest, options=fastboot
vgaromimage: file=$bochs/bios/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
pci: enabled=1, chipset=i440fx
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
clock: sync=none
log: $work/log
panic: action=fatal
END
"$bochs/bochs" -q -f "$work/bochsrc" -unlock > "$work/out" 2>&1 || true # it ends with 1
tr -d '\r' < "$work/serial"
grep -q 'all ran' "$work/serial" && ! grep -q 'not passed' "$work/serial"
