package crmhygiene;

import org.apache.spark.sql.api.java.UDF2;

/** Levenshtein's distance of two texts' UTF-8 bytes, as DuckDB counts it. */
public class Levenshtein implements UDF2 {
    private static final long serialVersionUID = 1L;

    public Object call(Object a, Object b) {
        if (a == null || b == null) {
            return null;
        }
        return Long.valueOf(distance((byte[]) a, (byte[]) b));
    }

    /** Insertions, deletions and replacements that make one of the other. */
    public static long distance(byte[] a, byte[] b) {
        int[] before = new int[b.length + 1];
        int[] row = new int[b.length + 1];
        for (int j = 0; j <= b.length; j++) {
            before[j] = j;
        }
        for (int i = 1; i <= a.length; i++) {
            row[0] = i;
            for (int j = 1; j <= b.length; j++) {
                int replaced = before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                row[j] = Math.min(replaced, Math.min(before[j], row[j - 1]) + 1);
            }
            int[] swap = before;
            before = row;
            row = swap;
        }
        return before[b.length];
    }
}
