;; What seal.ts does, for frames in a WebAssembly memory: the FCS behind a frame (RFC 1662 Appendix C) and the number of bits that
;; the frame has with its inserted zeros (section 5.2). Zeros are counted in 128 bits at once; the FCS goes by eight octets a step.
;; `npm run wasm` assembles this into seal-module.ts; a test compares the two.
(module
  (import "omni" "memory" (memory 1))

  ;; Table of one octet's zeros: STEPS + (run << 8 | octet) holds zeros << 3 | run behind it.
  (global $STEPS i32 (i32.const 16384))

  ;; Zeros inserted into the octets from $at to $end when $run (0 to 4) ones went before: zeros << 3 | run behind them.
  (func $count (param $at i32) (param $end i32) (param $run i32) (result i32)
    (local $zeros i32) (local $step i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $step
          (i32.load8_u
            (i32.add (global.get $STEPS)
              (i32.or (i32.shl (local.get $run) (i32.const 8)) (i32.load8_u (local.get $at))))))
        (local.set $zeros (i32.add (local.get $zeros) (i32.shr_u (local.get $step) (i32.const 3))))
        (local.set $run (i32.and (local.get $step) (i32.const 7)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.or (i32.shl (local.get $zeros) (i32.const 3)) (local.get $run)))

  ;; The run that the two octets before $at hand on, when it began in them.
  (func $runBefore (param $at i32) (result i32)
    (i32.rem_u
      (i32.clz (i32.xor (i32.const -1) (i32.shl (i32.load16_u (i32.sub (local.get $at) (i32.const 2))) (i32.const 16))))
      (i32.const 5)))

  ;; $tables: the eight slicing tables of the FCS; $crc: its register before the first octet; $trailer: 2 or 4 octets of FCS, which
  ;; are written at $end. Returns the bits from $start to behind the FCS, with inserted zeros.
  (func (export "seal")
    (param $tables i32) (param $crc i32) (param $trailer i32) (param $start i32) (param $end i32) (result i32)
    (local $at i32) (local $zeros i32) (local $steps i32) (local $half i32)
    (local $run i32) ;; the run before $at while a long one reaches over it, else -1: then the octets before tell
    (local $x v128) (local $before v128) (local $p v128)
    (local $pairs v128) (local $fours v128) (local $fives v128) (local $first v128) (local $second v128)
    (local $pPairs v128) (local $pFours v128) (local $pFives v128) (local $pFirst v128) (local $pSecond v128)
    (local.set $at (local.get $start))
    (local.set $run (i32.const -1))
    (block $blocks
      (loop $block
        (br_if $blocks (i32.lt_s (i32.sub (local.get $end) (local.get $at)) (i32.const 16)))
        (local.set $x (v128.load (local.get $at)))
        ;; The 64 bits before each half.
        (local.set $p
          (i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 (local.get $before) (local.get $x)))
        (local.set $before (local.get $x))
        ;; Bit i of $fives: bits i-4 to i are ones. The p... are the same of the bits before, right in their high bits.
        (local.set $pairs
          (v128.and (local.get $x)
            (v128.or (i64x2.shl (local.get $x) (i32.const 1)) (i64x2.shr_u (local.get $p) (i32.const 63)))))
        (local.set $pPairs (v128.and (local.get $p) (i64x2.shl (local.get $p) (i32.const 1))))
        (local.set $fours
          (v128.and (local.get $pairs)
            (v128.or (i64x2.shl (local.get $pairs) (i32.const 2)) (i64x2.shr_u (local.get $pPairs) (i32.const 62)))))
        (local.set $pFours (v128.and (local.get $pPairs) (i64x2.shl (local.get $pPairs) (i32.const 2))))
        (local.set $fives
          (v128.and (local.get $fours)
            (v128.or (i64x2.shl (local.get $x) (i32.const 4)) (i64x2.shr_u (local.get $p) (i32.const 60)))))
        (local.set $pFives (v128.and (local.get $pFours) (i64x2.shl (local.get $p) (i32.const 4))))
        ;; $first: where a run of ones reaches five, $second: ten. Where one reaches fifteen, octet by octet.
        (local.set $first
          (v128.andnot (local.get $fives)
            (v128.or (i64x2.shl (local.get $fives) (i32.const 1)) (i64x2.shr_u (local.get $pFives) (i32.const 63)))))
        (local.set $pFirst (v128.andnot (local.get $pFives) (i64x2.shl (local.get $pFives) (i32.const 1))))
        (local.set $second
          (v128.and (local.get $fives)
            (v128.or (i64x2.shl (local.get $first) (i32.const 5)) (i64x2.shr_u (local.get $pFirst) (i32.const 59)))))
        (local.set $pSecond (v128.and (local.get $pFives) (i64x2.shl (local.get $pFirst) (i32.const 5))))
        (if
          (i32.or
            (i32.ge_s (local.get $run) (i32.const 0))
            (v128.any_true
              (v128.and (local.get $fives)
                (v128.or (i64x2.shl (local.get $second) (i32.const 5)) (i64x2.shr_u (local.get $pSecond) (i32.const 59))))))
          (then
            (if (i32.lt_s (local.get $run) (i32.const 0))
              (then
                (local.set $run (i32.const 0))
                (if (i32.gt_u (local.get $at) (local.get $start))
                  (then (local.set $run (call $runBefore (local.get $at)))))))
            (local.set $steps
              (call $count (local.get $at) (i32.add (local.get $at) (i32.const 16)) (local.get $run)))
            (local.set $zeros (i32.add (local.get $zeros) (i32.shr_u (local.get $steps) (i32.const 3))))
            (local.set $run (i32.const -1))
            (if (i32.eq (i32.load8_u offset=15 (local.get $at)) (i32.const 255))
              (then (local.set $run (i32.and (local.get $steps) (i32.const 7))))))
          (else
            (local.set $first (v128.or (local.get $first) (local.get $second)))
            (local.set $zeros
              (i32.add (local.get $zeros)
                (i32.wrap_i64
                  (i64.add
                    (i64.popcnt (i64x2.extract_lane 0 (local.get $first)))
                    (i64.popcnt (i64x2.extract_lane 1 (local.get $first)))))))))
        (local.set $crc (call $eight (local.get $tables) (local.get $crc) (local.get $at)))
        (local.set $crc (call $eight (local.get $tables) (local.get $crc) (i32.add (local.get $at) (i32.const 8))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $block)))
    ;; The last octets.
    (if (i32.lt_s (local.get $run) (i32.const 0))
      (then
        (local.set $run (i32.const 0))
        (if (i32.gt_u (local.get $at) (local.get $start))
          (then (local.set $run (call $runBefore (local.get $at)))))))
    (local.set $half (local.get $at))
    (if (i32.ge_s (i32.sub (local.get $end) (local.get $at)) (i32.const 8))
      (then
        (local.set $crc (call $eight (local.get $tables) (local.get $crc) (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))))
    (block $done
      (loop $octet
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load
              (i32.add (local.get $tables)
                (i32.shl
                  (i32.and (i32.xor (local.get $crc) (i32.load8_u (local.get $at))) (i32.const 255))
                  (i32.const 2))))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $octet)))
    ;; The register is complemented and sent low octet first.
    (local.set $crc (i32.xor (local.get $crc) (i32.const -1)))
    (if (i32.eq (local.get $trailer) (i32.const 2))
      (then (i32.store16 (local.get $end) (local.get $crc)))
      (else (i32.store (local.get $end) (local.get $crc))))
    (local.set $end (i32.add (local.get $end) (local.get $trailer)))
    (i32.add
      (i32.shl (i32.sub (local.get $end) (local.get $start)) (i32.const 3))
      (i32.add (local.get $zeros)
        (i32.shr_u (call $count (local.get $half) (local.get $end) (local.get $run)) (i32.const 3)))))

  ;; The register after the eight octets at $at.
  (func $eight (param $tables i32) (param $crc i32) (param $at i32) (result i32)
    (local $x i32) (local $y i32)
    (local.set $x (i32.xor (local.get $crc) (i32.load (local.get $at))))
    (local.set $y (i32.load offset=4 (local.get $at)))
    (i32.xor
      (i32.xor
        (i32.xor
          (i32.load offset=7168 (i32.add (local.get $tables) (i32.shl (i32.and (local.get $x) (i32.const 255)) (i32.const 2))))
          (i32.load offset=6144
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $x) (i32.const 6)) (i32.const 1020)))))
        (i32.xor
          (i32.load offset=5120
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $x) (i32.const 14)) (i32.const 1020))))
          (i32.load offset=4096
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $x) (i32.const 22)) (i32.const 1020))))))
      (i32.xor
        (i32.xor
          (i32.load offset=3072 (i32.add (local.get $tables) (i32.shl (i32.and (local.get $y) (i32.const 255)) (i32.const 2))))
          (i32.load offset=2048
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $y) (i32.const 6)) (i32.const 1020)))))
        (i32.xor
          (i32.load offset=1024
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $y) (i32.const 14)) (i32.const 1020))))
          (i32.load
            (i32.add (local.get $tables) (i32.and (i32.shr_u (local.get $y) (i32.const 22)) (i32.const 1020)))))))))
