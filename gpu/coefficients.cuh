// Constants of the elementary functions. Generated: edit `src/math/coefficients.py`, then run
// `gpu/coefficients.py`; the origin and the error of each stand in `src/math/coefficients.rs`.
#pragma once

constexpr float HALF = 0.5f;
constexpr float LOG2_E = 1.442695f;
constexpr float LN2_HI = 0.69314575f;
constexpr float LN2_LO = 1.4285906e-6f;
constexpr float HALF_PI_HI = 1.5708008f;
constexpr float HALF_PI_LO = -4.454455e-6f;
constexpr float CENTERED = 220.0f;
constexpr float SHIFT = 60.0f;
constexpr float FLOOR = 184.0f;
constexpr float REACH = 100.0f;
constexpr float EXP_0 = 0.0013823551f;
constexpr float EXP_1 = 0.008368824f;
constexpr float EXP_2 = 0.041668236f;
constexpr float EXP_3 = 0.1666652f;
constexpr float EXP_4 = 0.49999994f;
constexpr float SIN_0 = -0.00019518266f;
constexpr float SIN_1 = 0.008332189f;
constexpr float SIN_2 = -0.16666655f;
constexpr float COS_0 = 2.4432553e-5f;
constexpr float COS_1 = -0.0013887311f;
constexpr float COS_2 = 0.041666646f;
