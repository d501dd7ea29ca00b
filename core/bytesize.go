package core

import (
	"fmt"
	"strconv"
	"strings"
)

// ByteSize writes a number of bytes with a binary unit and one decimal.
func ByteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n)/unit, []string{"KiB", "MiB", "GiB", "TiB"}
	i := 0
	for value >= unit && i < len(names)-1 {
		value /= unit
		i++
	}
	return fmt.Sprintf("%.1f %s", value, names[i])
}

// ParseByteSize reads a number of bytes, with a unit of a thousand (kB, MB, GB, TB) or of
// 1024 (KiB, MiB, GiB, TiB), in any case. Errors: KindInvalid.
func ParseByteSize(text string) (int64, error) {
	text = strings.TrimSpace(text)
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToLower(strings.TrimSpace(text[len(number):]))
	factor := map[string]int64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || factor == 0 || !(n >= 0 && n*float64(factor) <= 1<<62) {
		return 0, Errorf(KindInvalid, "%.50q is not a size; write it like 500MB, 50GB or 2TiB", text)
	}
	return int64(n * float64(factor)), nil
}
