// The distillation loss. One block of threads for each row of logits.

// As in `DistillationObjective`.
struct Objective {
    float temperature;
    float cross_entropy;
    float kl;
};

#define FORWARD_KL 0
#define REVERSE_KL 1
#define JENSEN_SHANNON 2

// Sums of the student's softmax at temperature 1 and at the objective's.
struct Student {
    float top;
    double plain;
    double softened;
};

template <int W> __device__ __forceinline__ Student student_of(Values logits, u32 vocab, float inverse) {
    Exponentials plain(1.0f), softened(inverse);
    FOR_ROW(i, vocab) {
        Pack<W> values = load<W>(logits, i);
        softened.add(values);
        if (inverse != 1.0f) plain.add(values);
    }
    Student student;
    student.softened = softened.of_row();
    student.plain = inverse == 1.0f ? student.softened : plain.of_row();
    student.top = softened.top;
    return student;
}

__device__ __forceinline__ double cross_entropy_of(Values logits, float top, double sum, u32 target) {
    return target == NO_TARGET ? 0.0 : (double)top - (double)load_one(logits, target) + log(sum);
}

// ---- The forward KL and the cross-entropy in one go.

// The gradient of a student's logit by both losses, but for what the target and the teachers take away from it.
struct StudentGradient {
    float top;
    float inverse;
    float plain_share;
    float softened_share;

    __device__ __forceinline__ float of(float logit) const {
        float z = logit - top;
        // d(T^2 * KL) / dz = T * (q - p).
        if (inverse == 1.0f) return expf(z) * (softened_share + plain_share);
        return expf(z) * plain_share + expf(z * inverse) * softened_share;
    }
};

__device__ __forceinline__ StudentGradient gradient_of(Student student, u32 target, Objective objective) {
    StudentGradient gradient;
    gradient.top = student.top;
    gradient.inverse = 1.0f / objective.temperature;
    gradient.plain_share = target == NO_TARGET ? 0.0f : objective.cross_entropy / (float)student.plain;
    gradient.softened_share = objective.kl * objective.temperature / (float)student.softened;
    return gradient;
}

template <int W>
__device__ void distill_row(Values student_logits, Values teacher_logits, u32 target, u32 vocab, Objective objective,
                            Values gradient, double *cross_entropy, double *kl) {
    float inverse = 1.0f / objective.temperature;
    Student student = student_of<W>(student_logits, vocab, inverse);
    Exponentials teacher(inverse);
    FOR_ROW(i, vocab) teacher.add(load<W>(teacher_logits, i));
    double teacher_sum = teacher.of_row();

    StudentGradient of_student = gradient_of(student, target, objective);
    float teacher_share = objective.kl * objective.temperature / (float)teacher_sum;
    // KL = sum p * ((t - t_top) - (z - z_top)) / T + ln(sum_z) - ln(sum_t): differences first, for precision.
    float difference = 0.0f;
    FOR_ROW(i, vocab) {
        Pack<W> z = load<W>(student_logits, i), t = load<W>(teacher_logits, i);
        for (int k = 0; k < W; k++) {
            float of_teacher = t.v[k] - teacher.top, p = expf(of_teacher * inverse);
            difference += p * (of_teacher - (z.v[k] - student.top));
            float taken = i + k == target ? objective.cross_entropy : 0.0f;
            z.v[k] = of_student.of(z.v[k]) - p * teacher_share - taken;
        }
        if (gradient.data) store<W>(gradient, i, z);
    }
    double sum = block_sum((double)difference);
    if (threadIdx.x == 0) {
        double divergence = sum / teacher_sum * (double)inverse + log(student.softened) - log(teacher_sum);
        *kl = divergence * (double)objective.temperature * (double)objective.temperature;
        *cross_entropy = cross_entropy_of(student_logits, student.top, student.plain, target);
    }
}

// Both losses of each row, and the gradient of the weighed objective where there is memory for it.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    distill_rows(const float *student, const float *teacher, const u32 *targets, u32 vocab, Objective objective,
                 Values gradient, double *cross_entropies, double *kls, u32 wide) {
    Values z = row_of(student, vocab), t = row_of(teacher, vocab), d_z = row_of(gradient, vocab);
    u32 row = blockIdx.x, target = targets[row];
    if (wide) {
        distill_row<4>(z, t, target, vocab, objective, d_z, cross_entropies + row, kls + row);
    } else {
        distill_row<1>(z, t, target, vocab, objective, d_z, cross_entropies + row, kls + row);
    }
}

// The teachers' part of the gradient at the tokens that were drawn: each thread looks after those of its draws that are the
// first of their token, and takes away all draws of it at once.
__device__ __forceinline__ void take_draws(Values student, const u32 *ids, u32 count, float share, u32 target,
                                           float target_share, StudentGradient of_student, Values gradient) {
    for (u32 draw = threadIdx.x; draw < count; draw += blockDim.x) {
        u32 id = ids[draw], same = 0;
        bool is_first = true;
        for (u32 other = 0; other < count; other++) {
            if (ids[other] == id) {
                same++;
                is_first = is_first && other >= draw;
            }
        }
        if (!is_first) continue;
        float taken = id == target ? target_share : 0.0f;
        store_one(gradient, id, of_student.of(load_one(student, id)) - (float)same * share - taken);
    }
}

template <int W>
__device__ void distill_samples(Values student_logits, const u32 *ids, u32 count, float negative_entropy, u32 target,
                                u32 vocab, Objective objective, Values gradient, double *cross_entropy, double *kl) {
    float inverse = 1.0f / objective.temperature;
    Student student = student_of<W>(student_logits, vocab, inverse);
    double logits = 0.0;
    for (u32 draw = threadIdx.x; draw < count; draw += blockDim.x) {
        logits += (double)(load_one(student_logits, ids[draw]) - student.top);
    }
    logits = block_sum(logits);
    if (threadIdx.x == 0) {
        double mean_log_q = logits / (double)count * (double)inverse - log(student.softened);
        double divergence = (double)negative_entropy - mean_log_q;
        *kl = divergence * (double)objective.temperature * (double)objective.temperature;
        *cross_entropy = cross_entropy_of(student_logits, student.top, student.plain, target);
    }
    if (!gradient.data) return;
    StudentGradient of_student = gradient_of(student, target, objective);
    FOR_ROW(i, vocab) {
        Pack<W> z = load<W>(student_logits, i);
        for (int k = 0; k < W; k++) {
            z.v[k] = of_student.of(z.v[k]) - (i + k == target ? objective.cross_entropy : 0.0f);
        }
        store<W>(gradient, i, z);
    }
    __syncthreads();
    float share = objective.kl * objective.temperature / (float)count;
    take_draws(student_logits, ids, count, share, target, objective.cross_entropy, of_student, gradient);
}

// The same from `count` tokens drawn from the teachers of each row, and `sum p ln p` of what they were drawn from.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    distill_rows_from_samples(const float *student, const u32 *ids, u32 count, const float *negative_entropies,
                              const u32 *targets, u32 vocab, Objective objective, Values gradient,
                              double *cross_entropies, double *kls, u32 wide) {
    Values z = row_of(student, vocab), d_z = row_of(gradient, vocab);
    u32 row = blockIdx.x, target = targets[row];
    const u32 *drawn = ids + (u64)row * count;
    float entropy = negative_entropies[row];
    if (wide) {
        distill_samples<4>(z, drawn, count, entropy, target, vocab, objective, d_z, cross_entropies + row, kls + row);
    } else {
        distill_samples<1>(z, drawn, count, entropy, target, vocab, objective, d_z, cross_entropies + row, kls + row);
    }
}

// ---- Any divergence, and how it is combined with the cross-entropy.
//
// With `g[j] = dD / dq[j]` the gradient of a divergence `D` by the student's logits is `q[j] (g[j] - sum q g) / T`. All is
// computed from `ln q` and the log-ratio `ln q - ln p`, which stay finite where a probability underflows.

// `ln(a / m)` with `m = (a + b) / 2`, from `ln a - ln b`.
__device__ __forceinline__ float log_over_middle(float log_ratio) {
    float below = log_ratio < 0.0f ? log_ratio : 0.0f;
    return below - logf(0.5f + 0.5f * expf(-fabsf(log_ratio)));
}

// Two distributions, and what a token adds to their divergence and its gradient.
struct Pair {
    Softmax q;
    Softmax p;

    // `ln q - ln p`; differences of logits first, for precision.
    __device__ __forceinline__ float log_ratio(float z, float t) const {
        return ((z - q.top) - (t - p.top)) * q.inverse_temperature - (q.logsumexp - p.logsumexp);
    }
};

template <int W>
__device__ void divergence_of(Values student, Values teacher, u32 vocab, u32 divergence, float temperature,
                              float share, float weight, Values gradient, u32 first, double *kl) {
    float inverse = 1.0f / temperature;
    Pair pair;
    pair.q = softmax_of<W>(student, vocab, inverse);
    pair.p = softmax_of<W>(teacher, vocab, inverse);
    // Of the student's and of the teacher's probabilities.
    float by_student = 0.0f, by_teacher = 0.0f;
    FOR_ROW(i, vocab) {
        Pack<W> z = load<W>(student, i), t = load<W>(teacher, i);
        for (int k = 0; k < W; k++) {
            float log_q = pair.q.log_probability(z.v[k]), ratio = pair.log_ratio(z.v[k], t.v[k]);
            if (divergence == FORWARD_KL) {
                by_teacher -= ratio * expf(log_q - ratio);
            } else if (divergence == REVERSE_KL) {
                by_student += ratio * expf(log_q);
            } else {
                by_student += expf(log_q) * log_over_middle(ratio);
                by_teacher += expf(log_q - ratio) * log_over_middle(-ratio);
            }
        }
    }
    double of_student = block_sum((double)by_student), of_teacher = block_sum((double)by_teacher);
    if (threadIdx.x == 0) {
        double half = divergence == JENSEN_SHANNON ? 0.5 : 1.0;
        double value = half * (of_teacher + of_student) * (double)temperature * (double)temperature;
        *kl = (double)share * value + (first ? 0.0 : *kl);
    }
    float mean = (float)of_student;
    weight *= temperature;
    FOR_ROW(i, vocab) {
        Pack<W> z = load<W>(student, i), t = load<W>(teacher, i);
        for (int k = 0; k < W; k++) {
            float log_q = pair.q.log_probability(z.v[k]), ratio = pair.log_ratio(z.v[k], t.v[k]);
            if (divergence == FORWARD_KL) {
                t.v[k] = weight * (expf(log_q) - expf(log_q - ratio));
            } else if (divergence == REVERSE_KL) {
                t.v[k] = weight * expf(log_q) * (ratio - mean);
            } else {
                t.v[k] = 0.5f * weight * expf(log_q) * (log_over_middle(ratio) - mean);
            }
        }
        if (!first) {
            Pack<W> before = load<W>(gradient, i);
            for (int k = 0; k < W; k++) t.v[k] += before.v[k];
        }
        store<W>(gradient, i, t);
    }
}

// kls[row] (+)= share * temperature^2 * divergence; gradient[row] (+)= the gradient of weight * temperature^2 * divergence by
// the student's logits. The first teacher's begins the sums, in the place of its logits or another.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    divergence_rows(const float *student, const float *teacher, u32 vocab, u32 divergence, float temperature,
                    float share, float weight, float *gradient, u32 first, double *kls, u32 wide) {
    Values z = row_of(student, vocab), t = row_of(teacher, vocab), d_z = row_of(gradient, vocab);
    double *kl = kls + blockIdx.x;
    if (wide) {
        divergence_of<4>(z, t, vocab, divergence, temperature, share, weight, d_z, first, kl);
    } else {
        divergence_of<1>(z, t, vocab, divergence, temperature, share, weight, d_z, first, kl);
    }
}

template <int W>
__device__ void join(Values student, Values divergence_gradient, u32 target, u32 vocab, float weight, Values gradient,
                     double *cross_entropy) {
    float top = 0.0f, share = 0.0f;
    if (target == NO_TARGET) {
        if (threadIdx.x == 0) *cross_entropy = 0.0;
    } else {
        Exponentials exponentials(1.0f);
        FOR_ROW(i, vocab) exponentials.add(load<W>(student, i));
        double sum = exponentials.of_row();
        top = exponentials.top;
        share = weight / (float)sum;
        if (threadIdx.x == 0) *cross_entropy = cross_entropy_of(student, top, sum, target);
    }
    if (!gradient.data) return;
    FOR_ROW(i, vocab) {
        Pack<W> values = load<W>(divergence_gradient, i);
        if (target != NO_TARGET) {
            Pack<W> z = load<W>(student, i);
            for (int k = 0; k < W; k++) {
                values.v[k] += expf(z.v[k] - top) * share - (i + k == target ? weight : 0.0f);
            }
        }
        store<W>(gradient, i, values);
    }
}

// The cross-entropy of each row, and the gradient of `weight` times it plus the divergence's.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    join_rows(const float *student, const float *divergence_gradient, const u32 *targets, u32 vocab, float weight,
              Values gradient, double *cross_entropies, u32 wide) {
    Values z = row_of(student, vocab), of_divergence = row_of(divergence_gradient, vocab);
    Values d_z = row_of(gradient, vocab);
    u32 target = targets[blockIdx.x];
    double *cross_entropy = cross_entropies + blockIdx.x;
    if (wide) {
        join<4>(z, of_divergence, target, vocab, weight, d_z, cross_entropy);
    } else {
        join<1>(z, of_divergence, target, vocab, weight, d_z, cross_entropy);
    }
}
