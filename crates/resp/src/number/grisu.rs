//! The digits of doubles by the algorithm Grisu2 (F. Loitsch, "Printing Floating-Point Numbers Quickly and Accurately
//! with Integers", 2010). They read back as the same double, and in 999 of 1000 cases none has fewer. The peers print
//! with it, so where it takes one digit more than necessary, or another last one, so do we.

/// Most digits of a double.
pub(super) const MAX_DIGITS: usize = 18;

/// `fraction * 2^exponent`.
#[derive(Clone, Copy)]
struct Float {
    fraction: u64,
    exponent: i32,
}

impl Float {
    /// A finite positive double as it is stored, and whether the one below it is only half as far away as the one above.
    fn of(value: f64) -> (Float, bool) {
        const HIDDEN: u64 = 1 << 52;
        const BIAS: i32 = 1023 + 52;
        let bits = value.to_bits();
        let stored = (bits >> 52) as i32;
        let (fraction, exponent) = match stored {
            0 => (bits, 1 - BIAS),
            _ => (bits & (HIDDEN - 1) | HIDDEN, stored - BIAS),
        };
        (Float { fraction, exponent }, fraction == HIDDEN)
    }

    /// With the top bit set.
    fn normalized(self) -> Float {
        let shift = self.fraction.leading_zeros();
        Float { fraction: self.fraction << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded.
    fn times(self, other: Float) -> Float {
        let product = u128::from(self.fraction) * u128::from(other.fraction);
        Float {
            fraction: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Writes the digits of a finite positive double; returns their number, and the power of ten of the last one.
pub(super) fn digits(value: f64, digits: &mut [u8; MAX_DIGITS]) -> (usize, i32) {
    let (float, is_narrow) = Float::of(value);
    // Halfway to the neighbours: what lies in between reads back as the value.
    let above = Float { fraction: 2 * float.fraction + 1, exponent: float.exponent - 1 }.normalized();
    let shift = if is_narrow { 2 } else { 1 };
    let below = Float { fraction: (float.fraction << shift) - 1, exponent: float.exponent - shift };
    let below =
        Float { fraction: below.fraction << (below.exponent - above.exponent), exponent: above.exponent };
    let (scale, power) = scale_for(above.exponent);
    let value = float.normalized().times(scale);
    let (above, below) = (above.times(scale), below.times(scale));
    // The products may be off by one in the last place.
    let interval = Interval {
        high: above.fraction - 1,
        width: (above.fraction - 1) - (below.fraction + 1),
        to_value: above.fraction - 1 - value.fraction,
        point: above.exponent.unsigned_abs(),
    };
    let (len, exponent) = interval.digits(digits);
    (len, exponent - power)
}

/// Numbers between two bounds, as fixed-point numbers with `point` bits behind the point, 32 to 60 of them.
struct Interval {
    high: u64,
    /// From the lower to the upper bound.
    width: u64,
    /// From the value to the upper bound.
    to_value: u64,
    point: u32,
}

impl Interval {
    /// Writes digits of the upper bound until the rest does not matter; returns as [`digits`] does.
    fn digits(mut self, digits: &mut [u8; MAX_DIGITS]) -> (usize, i32) {
        let one = 1 << self.point;
        let (mut whole, mut fraction) = (self.high >> self.point, self.high & (one - 1));
        let mut len = 0;
        let mut push = |digit: u64| {
            if digit != 0 || len > 0 {
                digits[len] = b'0' + digit as u8;
                len += 1;
            }
            len
        };
        for exponent in (0..10).rev() {
            let unit = 10u64.pow(exponent);
            let len = push(whole / unit);
            whole %= unit;
            let rest = (whole << self.point) + fraction;
            if rest <= self.width {
                self.approach(&mut digits[len - 1], rest, unit << self.point);
                return (len, exponent as i32);
            }
        }
        for exponent in 1.. {
            fraction *= 10;
            self.width *= 10;
            self.to_value = self.to_value.wrapping_mul(10);
            let len = push(fraction >> self.point);
            fraction &= one - 1;
            if fraction < self.width {
                self.approach(&mut digits[len - 1], fraction, one);
                return (len, -exponent);
            }
        }
        unreachable!("the width grows until it exceeds any fraction")
    }

    /// Lowers the last digit while that brings the number nearer to the value; `rest` is what the digits leave of the
    /// upper bound.
    fn approach(&self, digit: &mut u8, mut rest: u64, unit: u64) {
        while rest < self.to_value
            && self.width - rest >= unit
            && (rest + unit < self.to_value || self.to_value - rest > rest + unit - self.to_value)
        {
            *digit -= 1;
            rest += unit;
        }
    }
}

/// The smallest power of ten that leaves a number with this exponent between 32 and 60 bits behind the point, and its
/// exponent to the base of ten. Larger ones would do too, and sometimes give another last digit than the peers'.
fn scale_for(exponent: i32) -> (Float, i32) {
    const MOST_BITS: i32 = 60;
    let i = POWERS.partition_point(|(_, power)| exponent + power + 64 < -MOST_BITS);
    let (fraction, exponent) = POWERS[i];
    (Float { fraction, exponent }, FIRST_POWER + POWER_STEP * i as i32)
}

const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// Every eighth power of ten from `10^-348` to `10^340`: a fraction of 64 bits, rounded, and the exponent of two.
#[rustfmt::skip]
static POWERS: [(u64, i32); 87] = [
    (0xfa8f_d5a0_081c_0288, -1220),
    (0xbaae_e17f_a23e_bf76, -1193),
    (0x8b16_fb20_3055_ac76, -1166),
    (0xcf42_894a_5dce_35ea, -1140),
    (0x9a6b_b0aa_5565_3b2d, -1113),
    (0xe61a_cf03_3d1a_45df, -1087),
    (0xab70_fe17_c79a_c6ca, -1060),
    (0xff77_b1fc_bebc_dc4f, -1034),
    (0xbe56_91ef_416b_d60c, -1007),
    (0x8dd0_1fad_907f_fc3c, -980),
    (0xd351_5c28_3155_9a83, -954),
    (0x9d71_ac8f_ada6_c9b5, -927),
    (0xea9c_2277_23ee_8bcb, -901),
    (0xaecc_4991_4078_536d, -874),
    (0x823c_1279_5db6_ce57, -847),
    (0xc210_9436_4dfb_5637, -821),
    (0x9096_ea6f_3848_984f, -794),
    (0xd774_85cb_2582_3ac7, -768),
    (0xa086_cfcd_97bf_97f4, -741),
    (0xef34_0a98_172a_ace5, -715),
    (0xb238_67fb_2a35_b28e, -688),
    (0x84c8_d4df_d2c6_3f3b, -661),
    (0xc5dd_4427_1ad3_cdba, -635),
    (0x936b_9fce_bb25_c996, -608),
    (0xdbac_6c24_7d62_a584, -582),
    (0xa3ab_6658_0d5f_daf6, -555),
    (0xf3e2_f893_dec3_f126, -529),
    (0xb5b5_ada8_aaff_80b8, -502),
    (0x8762_5f05_6c7c_4a8b, -475),
    (0xc9bc_ff60_34c1_3053, -449),
    (0x964e_858c_91ba_2655, -422),
    (0xdff9_7724_7029_7ebd, -396),
    (0xa6df_bd9f_b8e5_b88f, -369),
    (0xf8a9_5fcf_8874_7d94, -343),
    (0xb944_7093_8fa8_9bcf, -316),
    (0x8a08_f0f8_bf0f_156b, -289),
    (0xcdb0_2555_6531_31b6, -263),
    (0x993f_e2c6_d07b_7fac, -236),
    (0xe45c_10c4_2a2b_3b06, -210),
    (0xaa24_2499_6973_92d3, -183),
    (0xfd87_b5f2_8300_ca0e, -157),
    (0xbce5_0864_9211_1aeb, -130),
    (0x8cbc_cc09_6f50_88cc, -103),
    (0xd1b7_1758_e219_652c, -77),
    (0x9c40_0000_0000_0000, -50),
    (0xe8d4_a510_0000_0000, -24),
    (0xad78_ebc5_ac62_0000, 3),
    (0x813f_3978_f894_0984, 30),
    (0xc097_ce7b_c907_15b3, 56),
    (0x8f7e_32ce_7bea_5c70, 83),
    (0xd5d2_38a4_abe9_8068, 109),
    (0x9f4f_2726_179a_2245, 136),
    (0xed63_a231_d4c4_fb27, 162),
    (0xb0de_6538_8cc8_ada8, 189),
    (0x83c7_088e_1aab_65db, 216),
    (0xc45d_1df9_4271_1d9a, 242),
    (0x924d_692c_a61b_e758, 269),
    (0xda01_ee64_1a70_8dea, 295),
    (0xa26d_a399_9aef_774a, 322),
    (0xf209_787b_b47d_6b85, 348),
    (0xb454_e4a1_79dd_1877, 375),
    (0x865b_8692_5b9b_c5c2, 402),
    (0xc835_53c5_c896_5d3d, 428),
    (0x952a_b45c_fa97_a0b3, 455),
    (0xde46_9fbd_99a0_5fe3, 481),
    (0xa59b_c234_db39_8c25, 508),
    (0xf6c6_9a72_a398_9f5c, 534),
    (0xb7dc_bf53_54e9_bece, 561),
    (0x88fc_f317_f222_41e2, 588),
    (0xcc20_ce9b_d35c_78a5, 614),
    (0x9816_5af3_7b21_53df, 641),
    (0xe2a0_b5dc_971f_303a, 667),
    (0xa8d9_d153_5ce3_b396, 694),
    (0xfb9b_7cd9_a4a7_443c, 720),
    (0xbb76_4c4c_a7a4_4410, 747),
    (0x8bab_8eef_b640_9c1a, 774),
    (0xd01f_ef10_a657_842c, 800),
    (0x9b10_a4e5_e991_3129, 827),
    (0xe710_9bfb_a19c_0c9d, 853),
    (0xac28_20d9_623b_f429, 880),
    (0x8044_4b5e_7aa7_cf85, 907),
    (0xbf21_e440_03ac_dd2d, 933),
    (0x8e67_9c2f_5e44_ff8f, 960),
    (0xd433_179d_9c8c_b841, 986),
    (0x9e19_db92_b4e3_1ba9, 1013),
    (0xeb96_bf6e_badf_77d9, 1039),
    (0xaf87_023b_9bf0_ee6b, 1066),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut buffer = [0; MAX_DIGITS];
        let (len, exponent) = digits(value, &mut buffer);
        format!("{}e{exponent}", std::str::from_utf8(&buffer[..len]).expect("digits are ASCII"))
    }

    proptest! {
        #[test]
        fn digits_read_back_as_the_value(bits: u64) {
            let value = f64::from_bits(bits & !(1 << 63));
            prop_assume!(value.is_finite() && value > 0.0);
            prop_assert_eq!(text(value).parse(), Ok(value));
        }
    }

    #[test]
    fn digits_are_those_of_the_peers_and_not_always_the_fewest() {
        assert_eq!(text(0.1), "1e-1");
        assert_eq!(text(f64::MAX), "17976931348623157e292");
        assert_eq!(text(f64::from_bits(1)), "5e-324");
        assert_eq!(text(f64::MIN_POSITIVE), "22250738585072014e-324");
        // These have one digit less in their shortest form.
        assert_eq!(text("42748398063920384e-15".parse().expect("a number")), "42748398063920384e-15");
        assert_eq!(text("16408453613519669e-14".parse().expect("a number")), "16408453613519669e-14");
        assert_eq!(text("50121056586930806e-16".parse().expect("a number")), "50121056586930806e-16");
    }
}
