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
		if d < least && 2*d <= max(len(word), len(k))+1 {
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

// distance is Levenshtein's, in bytes; long words are cut, they are no typo.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
