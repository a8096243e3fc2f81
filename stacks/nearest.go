package stacks

import (
	"sort"
	"strings"
)

// nearest gives the known word that a mistyped one most likely means, or "":
// one slip first, then a beginning, then up to three slips.
func nearest(word string, known []string) string {
	best, least := "", 4
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		// Short words are near to everything: half of it must be the same.
		if d < least && 2*d <= max(len(word), len(k)) {
			best, least = k, d
		}
	}
	if least <= 1 {
		return best
	}
	for _, k := range known {
		if len(word) > 1 && len(k) > 1 && (strings.HasPrefix(k, word) || strings.HasPrefix(word, k)) {
			return k
		}
	}
	return best
}

// meant is the hint for a word nobody knows.
func meant(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return "did you mean " + n + "?"
	}
	if len(known) == 0 {
		return "none is known here"
	}
	known = append([]string(nil), known...)
	sort.Strings(known)
	return "known here: " + strings.Join(known, ", ")
}

// distance is Levenshtein's, in bytes, with two letters the wrong way round as
// one slip; long words are cut, they are no typo.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			slip := 1
			if a[i-1] == b[j-1] {
				slip = 0
			}
			rows[i][j] = min(rows[i-1][j-1]+slip, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
