package crmhygiene;

import org.apache.spark.sql.api.java.UDF2;

/** Jaro and Winkler's similarity of two texts' UTF-8 bytes, operation by operation as DuckDB computes it. */
public class JaroWinkler implements UDF2 {
    private static final long serialVersionUID = 1L;
    private final boolean isFused;

    /** `isFused`: whether DuckDB multiplies and adds with one rounding on this machine, which its build decides. */
    public JaroWinkler(boolean isFused) {
        this.isFused = isFused;
    }

    public Object call(Object a, Object b) {
        if (a == null || b == null) {
            return null;
        }
        return Double.valueOf(similarity((byte[]) a, (byte[]) b, isFused));
    }

    /** Jaro's measure, and above 0.7 a tenth of what is missing for each of the first four bytes in common. */
    public static double similarity(byte[] p, byte[] t, boolean isFused) {
        int prefix = 0;
        int most = Math.min(4, Math.min(p.length, t.length));
        while (prefix < most && p[prefix] == t[prefix]) {
            prefix++;
        }
        double jaro = jaro(p, t);
        if (jaro <= 0.7) {
            return jaro;
        }
        double boost = prefix * 0.1;
        return isFused ? Math.fma(boost, 1.0 - jaro, jaro) : jaro + boost * (1.0 - jaro);
    }

    private static double jaro(byte[] p, byte[] t) {
        if (p.length == 0 || t.length == 0) {
            return 0.0;
        }
        if (p.length == 1 && t.length == 1) {
            return p[0] == t[0] ? 1.0 : 0.0;
        }
        int bound = Math.max(0, Math.max(p.length, t.length) / 2 - 1);
        boolean[] taken = new boolean[p.length];
        byte[] found = new byte[Math.min(p.length, t.length)];
        int common = 0;
        for (int j = 0; j < t.length && common < found.length; j++) {
            int last = Math.min(p.length - 1, j + bound);
            for (int i = Math.max(0, j - bound); i <= last; i++) {
                if (!taken[i] && p[i] == t[j]) {
                    taken[i] = true;
                    found[common++] = t[j];
                    break;
                }
            }
        }
        if (common == 0) {
            return 0.0;
        }
        int moved = 0;
        int k = 0;
        for (int i = 0; i < p.length; i++) {
            if (taken[i]) {
                if (p[i] != found[k]) {
                    moved++;
                }
                k++;
            }
        }
        double c = common;
        double sum = c / p.length;
        sum += c / t.length;
        sum += (c - moved / 2) / c;
        return sum / 3.0;
    }
}
