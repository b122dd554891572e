;; The two loops that MobileNetV2 spends its time in, on four numbers at once (WebAssembly SIMD).
;;
;; A 1x1 convolution is a matrix product: pixels times channels (`product`). A depthwise 3x3
;; convolution is nine products for each pixel and channel (`nine`). network.js says in JavaScript
;; what each of them computes, for browsers without SIMD.
;;
;; All arrays are float32 in one memory; a pointer counts bytes. The channels of a pixel lie side by
;; side (height, width, channels), so that a v128 holds four channels of one pixel.
(module
  (memory (import "js" "memory") 0)

  ;; out (rows, n) = in (rows, k) @ w (k, n) + bias (n), then kept between low and top:
  ;; 0 and 6 make a ReLU6, -inf and inf change nothing.
  ;;
  ;; Each number that is loaded is used as often as the registers allow: a tile of four rows and
  ;; eight columns of `out` is summed up at once, in the eight registers u0 ... u3 and v0 ... v3. So
  ;; one step of the inmost loop loads 2 + 4 numbers (vectors) and makes 8 products of them. One
  ;; column of one row at a time would load two for each product.
  ;; w lies in strips of eight columns, (n / 8, k, 8): the loop reads it from front to back.
  ;; `in` and `out` need room for a multiple of four rows, n is a multiple of eight.
  (func (export "product") (param $in i32) (param $w i32) (param $bias i32) (param $out i32)
      (param $rows i32) (param $k i32) (param $n i32) (param $low f32) (param $top f32)
    (local $strip i32) (local $j i32) (local $end i32) (local $o i32)
    (local $p0 i32) (local $p1 i32) (local $p2 i32) (local $p3 i32)
    (local $x v128) (local $u v128) (local $v v128)
    (local $u0 v128) (local $u1 v128) (local $u2 v128) (local $u3 v128)
    (local $v0 v128) (local $v1 v128) (local $v2 v128) (local $v3 v128)
    (local.set $k (i32.shl (local.get $k) (i32.const 2)))  ;; from here on in bytes
    (local.set $n (i32.shl (local.get $n) (i32.const 2)))
    (loop $four_rows
      (local.set $strip (local.get $w))
      (local.set $j (i32.const 0))
      (loop $eight_columns
        ;; Every sum begins with its column's bias.
        (local.set $u (v128.load (i32.add (local.get $bias) (local.get $j))))
        (local.set $v (v128.load offset=16 (i32.add (local.get $bias) (local.get $j))))
        (local.set $u0 (local.get $u)) (local.set $v0 (local.get $v))
        (local.set $u1 (local.get $u)) (local.set $v1 (local.get $v))
        (local.set $u2 (local.get $u)) (local.set $v2 (local.get $v))
        (local.set $u3 (local.get $u)) (local.set $v3 (local.get $v))
        (local.set $p0 (local.get $in))
        (local.set $p1 (i32.add (local.get $p0) (local.get $k)))
        (local.set $p2 (i32.add (local.get $p1) (local.get $k)))
        (local.set $p3 (i32.add (local.get $p2) (local.get $k)))
        (local.set $end (local.get $p1))
        (loop $sum
          ;; Eight weights, each used by all four rows; one input of each row, used by all eight.
          (local.set $u (v128.load (local.get $strip)))
          (local.set $v (v128.load offset=16 (local.get $strip)))
          (local.set $x (v128.load32_splat (local.get $p0)))
          (local.set $u0 (f32x4.add (local.get $u0) (f32x4.mul (local.get $x) (local.get $u))))
          (local.set $v0 (f32x4.add (local.get $v0) (f32x4.mul (local.get $x) (local.get $v))))
          (local.set $x (v128.load32_splat (local.get $p1)))
          (local.set $u1 (f32x4.add (local.get $u1) (f32x4.mul (local.get $x) (local.get $u))))
          (local.set $v1 (f32x4.add (local.get $v1) (f32x4.mul (local.get $x) (local.get $v))))
          (local.set $x (v128.load32_splat (local.get $p2)))
          (local.set $u2 (f32x4.add (local.get $u2) (f32x4.mul (local.get $x) (local.get $u))))
          (local.set $v2 (f32x4.add (local.get $v2) (f32x4.mul (local.get $x) (local.get $v))))
          (local.set $x (v128.load32_splat (local.get $p3)))
          (local.set $u3 (f32x4.add (local.get $u3) (f32x4.mul (local.get $x) (local.get $u))))
          (local.set $v3 (f32x4.add (local.get $v3) (f32x4.mul (local.get $x) (local.get $v))))
          (local.set $strip (i32.add (local.get $strip) (i32.const 32)))
          (local.set $p1 (i32.add (local.get $p1) (i32.const 4)))
          (local.set $p2 (i32.add (local.get $p2) (i32.const 4)))
          (local.set $p3 (i32.add (local.get $p3) (i32.const 4)))
          (br_if $sum (i32.lt_u
            (local.tee $p0 (i32.add (local.get $p0) (i32.const 4))) (local.get $end))))
        ;; The sums are whole: clamp and store, row by row.
        (local.set $u (f32x4.splat (local.get $low)))
        (local.set $v (f32x4.splat (local.get $top)))
        (local.set $o (i32.add (local.get $out) (local.get $j)))
        (v128.store (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $u0))))
        (v128.store offset=16 (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $v0))))
        (local.set $o (i32.add (local.get $o) (local.get $n)))
        (v128.store (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $u1))))
        (v128.store offset=16 (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $v1))))
        (local.set $o (i32.add (local.get $o) (local.get $n)))
        (v128.store (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $u2))))
        (v128.store offset=16 (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $v2))))
        (local.set $o (i32.add (local.get $o) (local.get $n)))
        (v128.store (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $u3))))
        (v128.store offset=16 (local.get $o)
          (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $v3))))
        (br_if $eight_columns (i32.lt_u
          (local.tee $j (i32.add (local.get $j) (i32.const 32))) (local.get $n))))
      (local.set $in (i32.add (local.get $in) (i32.shl (local.get $k) (i32.const 2))))
      (local.set $out (i32.add (local.get $out) (i32.shl (local.get $n) (i32.const 2))))
      (br_if $four_rows (i32.gt_s
        (local.tee $rows (i32.sub (local.get $rows) (i32.const 4))) (i32.const 0)))))

  ;; One pixel of a depthwise 3x3 convolution: out (n) = bias + the sum of the nine p_i * w_i, kept
  ;; between low and top. w is (9, n). Each p_i points to the n channels of one of the nine pixels
  ;; under the kernel; beyond the edge of the image it points to zeros, which are the padding.
  (func (export "nine") (param $p0 i32) (param $p1 i32) (param $p2 i32) (param $p3 i32)
      (param $p4 i32) (param $p5 i32) (param $p6 i32) (param $p7 i32) (param $p8 i32)
      (param $w i32) (param $bias i32) (param $out i32) (param $n i32)
      (param $low f32) (param $top f32)
    (local $j i32) (local $q i32) (local $s v128) (local $u v128) (local $v v128)
    (local.set $u (f32x4.splat (local.get $low)))
    (local.set $v (f32x4.splat (local.get $top)))
    (local.set $n (i32.shl (local.get $n) (i32.const 2)))
    (loop $four
      (local.set $q (i32.add (local.get $w) (local.get $j)))
      (local.set $s (v128.load (i32.add (local.get $bias) (local.get $j))))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p0) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p1) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p2) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p3) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p4) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p5) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p6) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p7) (local.get $j))))))
      (local.set $q (i32.add (local.get $q) (local.get $n)))
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $q))
        (v128.load (i32.add (local.get $p8) (local.get $j))))))
      (v128.store (i32.add (local.get $out) (local.get $j))
        (f32x4.pmin (local.get $v) (f32x4.pmax (local.get $u) (local.get $s))))
      (br_if $four (i32.lt_u
        (local.tee $j (i32.add (local.get $j) (i32.const 16))) (local.get $n))))))
