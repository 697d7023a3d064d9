//! Constants of the elementary functions. Generated: edit and run `python3 src/math/coefficients.py`.
//!
//! Polynomials are minimax, highest power first; decimals parse back to the exact bits.

#![allow(clippy::approx_constant, reason = "the rounded constant is what is meant")]

use super::Coefficients;

impl Coefficients for f32 {
    /// One half.
    const HALF: Self = 0.5;
    /// Two.
    const TWO: Self = 2.0;
    /// The least positive normal number.
    const NORMALS_FROM: Self = 1.1754944e-38;
    /// 2^-16.
    const PIECE: Self = 1.5258789e-5;
    /// A power of two that makes every subnormal number normal.
    const RAISE: Self = 4294967300.0;
    /// Its binary exponent.
    const RAISED: Self = 32.0;
    /// 1 / ln 2.
    const LOG2_E: Self = 1.442695;
    /// 15 bits of ln 2: exact times any |k| < 2^9.
    const LN2_HI: Self = 0.69314575;
    /// 15 bits more; the two miss ln 2 by 2^-35.8.
    const LN2_LO: Self = 1.4285906e-6;
    /// pi/2 in 5 parts, all but the last of 12 bits; they miss it by 2^-82.1.
    const HALF_PI_PARTS: &'static [Self] = &[
        1.5708008, -4.4535846e-6, -8.706138e-10, 6.2228e-14, 5.721189e-18,
    ];
    /// Below it the nearest multiple of pi/2 is less than the 2^12th.
    const HALF_PI_LIMIT: Self = 6432.0;
    /// 12 bits of pi/2.
    const HALF_PI_HI: Self = 1.5708008;
    /// The rest; the two miss pi/2 by 2^-42.4.
    const HALF_PI_LO: Self = -4.454455e-6;
    /// 2/pi.
    const TWO_OVER_PI: Self = 0.63661975;
    /// 320 bits of 2/pi after 64 bits of integer part.
    const TWO_OVER_PI_WORDS: &'static [u32] = &[
        0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599,
        0x3c439041, 0xfe5163ab, 0xdebbc561, 0xb7246e3a, 0x424dd2e0,
    ];
    /// From here down the exponential rounds to zero.
    const EXP_MIN: Self = -104.0;
    /// From here up the exponential overflows.
    const EXP_MAX: Self = 89.0;
    /// From here down exp(x) - 1 rounds to -1.
    const EXP_M1_MIN: Self = -18.0;
    /// Where tanh leaves its polynomial for the exponential.
    const TANH_SPLIT: Self = 0.625;
    /// Where erfc leaves 1 - erf(x).
    const ERFC_FROM: Self = 0.46875;
    /// From here up erfc rounds to zero.
    const ERFC_TO: Self = 10.25;
    /// The zero of the Moebius map of erfc, where the constant term is almost exact.
    const ERFC_CENTER: Self = 3.7529297;
    /// Rows of no greater maximum are not shifted.
    const CENTERED: Self = 220.0;
    /// Terms of a row carry 2^SHIFT.
    const SHIFT: Self = 60.0;
    /// Terms below 2^-FLOOR of the greatest are held there.
    const FLOOR: Self = 184.0;
    /// Scores of no greater size may stand in for a row's maximum.
    const ANCHORED: Self = 45.0;
    /// The maximum is then taken to lie 2^HEADROOM above.
    const HEADROOM: Self = 32.0;
    /// And may lie 2^RISE above that.
    const RISE: Self = 34.0;
    /// Down to 2^-REACH, 2^k p is exact for every p with a say in 2^k + 2^k p.
    const REACH: Self = 100.0;
    /// (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r).
    ///
    /// Degree 4, error 2^-28.2.
    const EXP: &'static [Self] = &[
        0.0013823551, 0.008368824, 0.041668236, 0.1666652, 0.49999994,
    ];
    /// (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r) - 1.
    ///
    /// Degree 5, error 2^-30.9.
    const EXP_M1: &'static [Self] = &[
        0.00019743423, 0.0013933708, 0.008333567, 0.041666478, 0.16666666, 0.5,
    ];
    /// (2 atanh(s)/s - 2) / z, z = s^2, on |s| <= (sqrt(2) - 1)/(sqrt(2) + 1); error relative to 2 atanh(s).
    ///
    /// Degree 2, error 2^-30.2.
    const LN: &'static [Self] = &[
        0.2987057, 0.3997759, 0.66666776,
    ];
    /// (sin(r) - r) / r^3, in z = r^2, on |r| <= pi/4; error relative to sin(r).
    ///
    /// Degree 2, error 2^-27.8.
    const SIN: &'static [Self] = &[
        -0.00019518266, 0.008332189, -0.16666655,
    ];
    /// (cos(r) - 1 + r^2/2) / r^4, in z = r^2, on |r| <= pi/4; error relative to cos(r).
    ///
    /// Degree 2, error 2^-32.9.
    const COS: &'static [Self] = &[
        2.4432553e-5, -0.0013887311, 0.041666646,
    ];
    /// (tanh(x) - x) / x^3, in z = x^2, on |x| <= 0.625; error relative to tanh(x).
    ///
    /// Degree 4, error 2^-27.7.
    const TANH: &'static [Self] = &[
        -0.005700097, 0.02063412, -0.05373794, 0.13331416, -0.3333328,
    ];
    /// erf(x)/x - 1, in z = x^2, on |x| <= 1; error relative to erf(x).
    ///
    /// Degree 6, error 2^-29.3.
    const ERF: &'static [Self] = &[
        7.846109e-5, -0.0008007878, 0.005188074, -0.026853692, 0.11283583, -0.37612626, 0.12837917,
    ];
    /// (1 + 2x) exp(x^2) erfc(x), in t = (x - c)/(x + c) with c = ERFC_CENTER, on 0.46875 <= x <= 10.25; relative error.
    ///
    /// Degree 10, error 2^-29.4.
    const ERFC: &'static [Self] = &[
        0.0008201262, 0.0018755539, -0.010073662, 0.028374782, -0.05875294, 0.09235547, -0.1087229,
        0.08210274, 0.0037365207, -0.14023772, 1.2374579,
    ];
}

impl Coefficients for f64 {
    /// One half.
    const HALF: Self = 0.5;
    /// Two.
    const TWO: Self = 2.0;
    /// The least positive normal number.
    const NORMALS_FROM: Self = 2.2250738585072014e-308;
    /// 2^-16.
    const PIECE: Self = 1.52587890625e-5;
    /// A power of two that makes every subnormal number normal.
    const RAISE: Self = 18446744073709551616.0;
    /// Its binary exponent.
    const RAISED: Self = 64.0;
    /// 1 / ln 2.
    const LOG2_E: Self = 1.4426950408889634;
    /// 41 bits of ln 2: exact times any |k| < 2^12.
    const LN2_HI: Self = 0.6931471805601177;
    /// 41 bits more; the two miss ln 2 by 2^-84.3.
    const LN2_LO: Self = -1.7239444525610826e-13;
    /// pi/2 in 4 parts, all but the last of 33 bits; they miss it by 2^-159.8.
    const HALF_PI_PARTS: &'static [Self] = &[
        1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32,
    ];
    /// Below it the nearest multiple of pi/2 is less than the 2^20th.
    const HALF_PI_LIMIT: Self = 1647097.0;
    /// 33 bits of pi/2.
    const HALF_PI_HI: Self = 1.5707963267341256;
    /// The rest; the two miss pi/2 by 2^-87.8.
    const HALF_PI_LO: Self = 6.077100506506192e-11;
    /// 2/pi.
    const TWO_OVER_PI: Self = 0.6366197723675814;
    /// 1216 bits of 2/pi after 64 bits of integer part.
    const TWO_OVER_PI_WORDS: &'static [u32] = &[
        0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599,
        0x3c439041, 0xfe5163ab, 0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c,
        0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639,
        0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f,
        0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7,
        0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab,
    ];
    /// From here down the exponential rounds to zero.
    const EXP_MIN: Self = -746.0;
    /// From here up the exponential overflows.
    const EXP_MAX: Self = 710.0;
    /// From here down exp(x) - 1 rounds to -1.
    const EXP_M1_MIN: Self = -38.0;
    /// Where tanh leaves its polynomial for the exponential.
    const TANH_SPLIT: Self = 0.625;
    /// Where erfc leaves 1 - erf(x).
    const ERFC_FROM: Self = 0.46875;
    /// From here up erfc rounds to zero.
    const ERFC_TO: Self = 27.25;
    /// The zero of the Moebius map of erfc, where the constant term is almost exact.
    const ERFC_CENTER: Self = 4.134765625;
    /// Rows of no greater maximum are not shifted.
    const CENTERED: Self = 1400.0;
    /// Terms of a row carry 2^SHIFT.
    const SHIFT: Self = 120.0;
    /// Terms below 2^-FLOOR of the greatest are held there.
    const FLOOR: Self = 1140.0;
    /// Scores of no greater size may stand in for a row's maximum.
    const ANCHORED: Self = 250.0;
    /// The maximum is then taken to lie 2^HEADROOM above.
    const HEADROOM: Self = 60.0;
    /// And may lie 2^RISE above that.
    const RISE: Self = 500.0;
    /// Down to 2^-REACH, 2^k p is exact for every p with a say in 2^k + 2^k p.
    const REACH: Self = 967.0;
    /// (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r).
    ///
    /// Degree 9, error 2^-57.8.
    const EXP: &'static [Self] = &[
        2.500336224047824e-8, 2.7630543516355547e-7, 2.755757662045537e-6, 2.4801492247466975e-5,
        0.00019841269516734526, 0.0013888888944489956, 0.00833333333349013, 0.04166666666652664,
        0.1666666666666642, 0.5000000000000011,
    ];
    /// (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to exp(r) - 1.
    ///
    /// Degree 10, error 2^-61.5.
    const EXP_M1: &'static [Self] = &[
        2.0889518869919836e-9, 2.5109186592235514e-8, 2.755735285559667e-7, 2.7557243775030782e-6,
        2.4801587237550083e-5, 0.00019841269886571107, 0.0013888888888923803, 0.008333333333321443,
        0.04166666666666661, 0.16666666666666677, 0.5,
    ];
    /// (2 atanh(s)/s - 2) / z, z = s^2, on |s| <= (sqrt(2) - 1)/(sqrt(2) + 1); error relative to 2 atanh(s).
    ///
    /// Degree 6, error 2^-59.5.
    const LN: &'static [Self] = &[
        0.14795334320394155, 0.1531411361777768, 0.18183561790197492, 0.22222198623621484,
        0.285714287418759, 0.399999999994171, 0.6666666666666734,
    ];
    /// (sin(r) - r) / r^3, in z = r^2, on |r| <= pi/4; error relative to sin(r).
    ///
    /// Degree 5, error 2^-57.8.
    const SIN: &'static [Self] = &[
        1.5895863633791804e-10, -2.5050741079697665e-8, 2.755731357543171e-6,
        -0.00019841269829442922, 0.008333333333321907, -0.1666666666666663,
    ];
    /// (cos(r) - 1 + r^2/2) / r^4, in z = r^2, on |r| <= pi/4; error relative to cos(r).
    ///
    /// Degree 5, error 2^-63.9.
    const COS: &'static [Self] = &[
        -1.135870931114481e-11, 2.0875704759398718e-9, -2.7557314213440617e-7, 2.480158728899371e-5,
        -0.0013888888888873335, 0.041666666666666595,
    ];
    /// (tanh(x) - x) / x^3, in z = x^2, on |x| <= 0.625; error relative to tanh(x).
    ///
    /// Degree 11, error 2^-61.1.
    const TANH: &'static [Self] = &[
        6.0512201143986235e-6, -3.0208396630317937e-5, 9.158091728426859e-5,
        -0.00023702553523372795, 0.0005894571998327299, -0.0014557273534533217,
        0.003592114245949123, -0.008863234341248728, 0.02186948847086161, -0.05396825396615522,
        0.1333333333332997, -0.33333333333333315,
    ];
    /// erf(x)/x - 1, in z = x^2, on |x| <= 1; error relative to erf(x).
    ///
    /// Degree 12, error 2^-56.3.
    const ERF: &'static [Self] = &[
        6.68532512814619e-11, -1.1830872423702765e-9, 1.4786618028312107e-8, -1.6370648020571883e-7,
        1.6463087939888062e-6, -1.4925738551264704e-5, 0.00012055337779480868,
        -0.0008548327189642743, 0.005223977629096085, -0.02686617064561956, 0.11283791670958743,
        -0.37612638903183876, 0.1283791670955126,
    ];
    /// (1 + 2x) exp(x^2) erfc(x), in t = (x - c)/(x + c) with c = ERFC_CENTER, on 0.46875 <= x <= 27.25; relative error.
    ///
    /// Degree 21, error 2^-57.1.
    const ERFC: &'static [Self] = &[
        -4.134448678856997e-9, -3.240231366135255e-8, 4.60349264908256e-8, 2.9684876504242315e-7,
        -6.114139174587833e-7, -1.5576056684459865e-6, 7.085229124193215e-6, -7.399882439501019e-7,
        -5.7574135250855215e-5, 0.0001594956433424267, 3.0806491165784994e-5, -0.001684892775017508,
        0.007220788974721161, -0.019853911021267504, 0.0415372438838669, -0.06952525802037558,
        0.09352295016885268, -0.09648514886723815, 0.06094796105650979, 0.020894740821005762,
        -0.13901910867458134, 1.2306865908298008,
    ];
}
