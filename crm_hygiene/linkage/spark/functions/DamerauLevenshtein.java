package crmhygiene;

import org.apache.spark.sql.api.java.UDF2;

/** Damerau and Levenshtein's distance of two texts' UTF-8 bytes, as DuckDB counts it. */
public class DamerauLevenshtein implements UDF2 {
    private static final long serialVersionUID = 1L;

    public Object call(Object a, Object b) {
        if (a == null || b == null) {
            return null;
        }
        return Long.valueOf(distance((byte[]) a, (byte[]) b));
    }

    /** Lowrance and Wagner (1975): two bytes that changed places count one, also with edits between them. */
    public static long distance(byte[] a, byte[] b) {
        int infinite = a.length + b.length;
        int[][] d = new int[a.length + 2][b.length + 2];
        int[] lastRow = new int[256];
        d[0][0] = infinite;
        for (int i = 0; i <= a.length; i++) {
            d[i + 1][0] = infinite;
            d[i + 1][1] = i;
        }
        for (int j = 0; j <= b.length; j++) {
            d[0][j + 1] = infinite;
            d[1][j + 1] = j;
        }
        for (int i = 1; i <= a.length; i++) {
            int lastColumn = 0;
            for (int j = 1; j <= b.length; j++) {
                int k = lastRow[b[j - 1] & 0xFF];
                int l = lastColumn;
                int cost = 1;
                if (a[i - 1] == b[j - 1]) {
                    cost = 0;
                    lastColumn = j;
                }
                int edited = Math.min(d[i][j] + cost, Math.min(d[i + 1][j], d[i][j + 1]) + 1);
                d[i + 1][j + 1] = Math.min(edited, d[k][l] + (i - k - 1) + 1 + (j - l - 1));
            }
            lastRow[a[i - 1] & 0xFF] = i;
        }
        return d[a.length + 1][b.length + 1];
    }
}
