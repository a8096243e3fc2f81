package stacks

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Ranges that subnets are cut from, in order of preference. Docker's default
// pools end at 31 networks and collide with home networks, so croft brings its
// own; the first one that no route of the host overlaps is taken, for life.
func subnetRanges() []string {
	return []string{"10.213.0.0/16", "10.117.0.0/16", "10.89.0.0/16", "172.29.0.0/16", "100.88.0.0/16"}
}

// NetworkNeed is a network that must have a subnet.
type NetworkNeed struct {
	Key   string // unique within the platform
	Hosts int    // containers that may be on it
}

// Allocate gives every needed network a subnet that it keeps for life: what the
// lock holds is never changed, what is missing is cut from the lock's range,
// avoiding the networks the host reaches. Half of each subnet is left for fixed
// addresses.
func Allocate(lock Lock, platform string, needs []NetworkNeed, host []netip.Prefix) (Lock, error) {
	out := Lock{Version: 1, Range: lock.Range, Subnets: maps.Clone(lock.Subnets), Volumes: maps.Clone(lock.Volumes), Images: maps.Clone(lock.Images), Kept: lock.Kept}
	if out.Subnets == nil {
		out.Subnets = map[string]string{}
	}
	if out.Volumes == nil {
		out.Volumes = map[string]VolumeLock{}
	}
	if out.Images == nil {
		out.Images = map[string]ImageLock{}
	}
	var taken []netip.Prefix
	for key, cidr := range out.Subnets {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return lock, fmt.Errorf("lock: subnet of %s: %w", key, err)
		}
		taken = append(taken, p)
	}
	if out.Range == "" {
		r, err := freeRange(platform, host)
		if err != nil {
			return lock, err
		}
		out.Range = r
	}
	pool, err := netip.ParsePrefix(out.Range)
	if err != nil {
		return lock, fmt.Errorf("lock: range: %w", err)
	}
	needs = slices.Clone(needs)
	slices.SortFunc(needs, func(a, b NetworkNeed) int { return compareKeys(a.Key, b.Key) })
	for _, n := range needs {
		if _, have := out.Subnets[n.Key]; have {
			continue
		}
		p, err := nextSubnet(pool, subnetBits(n.Hosts), platform, append(slices.Clone(taken), host...))
		if err != nil {
			return lock, fmt.Errorf("network %s: %w", n.Key, err)
		}
		taken = append(taken, p)
		out.Subnets[n.Key] = p.String()
	}
	return out, nil
}

// AdoptSubnets takes into the lock what networks of the platform have that it
// does not know: where it was lost, or is older than they are.
func AdoptSubnets(lock Lock, platform string, networks []Network) Lock {
	out := lock
	out.Subnets = maps.Clone(lock.Subnets)
	if out.Subnets == nil {
		out.Subnets = map[string]string{}
	}
	for _, n := range networks {
		key := lockKey(n, platform)
		if _, known := out.Subnets[key]; key == "" || known || n.Subnet == "" {
			continue
		}
		out.Subnets[key] = n.Subnet
	}
	if out.Range == "" {
		out.Range = rangeOf(out.Subnets)
	}
	return out
}

// lockKey gives the key of a network that croft, or Compose for it, has made.
func lockKey(n Network, platform string) string {
	if key := n.Labels[LabelNetwork]; key != "" && n.Labels[LabelPlatform] == platform && n.Labels[LabelSubnet] == n.Subnet {
		return key
	}
	stack, ours := strings.CutPrefix(n.Labels["com.docker.compose.project"], platform+"-")
	if own := n.Labels["com.docker.compose.network"]; ours && own != "" {
		return stack + "/" + own
	}
	return ""
}

// rangeOf gives the range that most of the subnets lie in, "" for none.
func rangeOf(subnets map[string]string) string {
	best, most := "", 0
	for _, r := range subnetRanges() {
		pool, count := netip.MustParsePrefix(r), 0
		for _, cidr := range subnets {
			if p, err := netip.ParsePrefix(cidr); err == nil && pool.Contains(p.Addr()) {
				count++
			}
		}
		if count > most {
			best, most = r, count
		}
	}
	return best
}

func compareKeys(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// subnetBits gives the prefix length whose upper half has room for the hosts
// and as many again, so that a recreated container finds an address.
func subnetBits(hosts int) int {
	bits := 27
	for bits > 20 && 1<<(31-bits)-2 < 2*hosts {
		bits--
	}
	return bits
}

// freeRange takes the first range that no network of the host covers whole and
// whose own /16 is not a route of the host. Small networks inside of it, such as
// those of another platform, are stepped around one by one.
func freeRange(platform string, host []netip.Prefix) (string, error) {
	for _, r := range subnetRanges() {
		pool := netip.MustParsePrefix(r)
		clash := slices.ContainsFunc(host, func(h netip.Prefix) bool { return h.Bits() > 0 && h.Bits() <= 20 && h.Overlaps(pool) })
		if !clash {
			return r, nil
		}
	}
	return "", fmt.Errorf("every address range croft may use for %s overlaps a network of this host", platform)
}

// nextSubnet looks from a place that depends on the platform's name, so that
// two platforms on one machine seldom want the same.
func nextSubnet(pool netip.Prefix, bits int, platform string, taken []netip.Prefix) (netip.Prefix, error) {
	count := uint32(1) << (bits - pool.Bits())
	h := fnv.New32a()
	_, _ = h.Write([]byte(platform))
	start := h.Sum32() % count
	base := binary.BigEndian.Uint32(pool.Addr().AsSlice())
	for i := uint32(0); i < count; i++ {
		at := base + (start+i)%count<<(32-bits)
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], at)
		p := netip.PrefixFrom(netip.AddrFrom4(raw), bits)
		if !slices.ContainsFunc(taken, func(t netip.Prefix) bool { return t.Bits() > 0 && t.Overlaps(p) }) {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no free /%d left in %s", bits, pool)
}

// SubnetPlan is how the addresses of one subnet are used.
type SubnetPlan struct {
	Subnet, Gateway string
	Dynamic         string // CIDR the engine gives addresses from: the upper half
}

// PlanSubnet splits a subnet: gateway first, fixed addresses in the lower half,
// the engine's own in the upper.
func PlanSubnet(cidr string) (SubnetPlan, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return SubnetPlan{}, err
	}
	upper, err := addressAt(p, 1<<(31-p.Bits()))
	if err != nil {
		return SubnetPlan{}, err
	}
	gateway, err := addressAt(p, 1)
	if err != nil {
		return SubnetPlan{}, err
	}
	return SubnetPlan{Subnet: cidr, Gateway: gateway.String(), Dynamic: netip.PrefixFrom(upper, p.Bits()+1).String()}, nil
}

// FixedAddress gives the n-th fixed address (from 0) of a subnet.
func FixedAddress(cidr string, n int) (string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", err
	}
	if n+2 >= 1<<(31-p.Bits()) {
		return "", fmt.Errorf("no fixed address left in %s", cidr)
	}
	a, err := addressAt(p, uint32(n)+2)
	return a.String(), err
}

func addressAt(p netip.Prefix, n uint32) (netip.Addr, error) {
	if !p.Addr().Is4() {
		return netip.Addr{}, fmt.Errorf("%s is not IPv4", p)
	}
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(p.Masked().Addr().AsSlice())+n)
	return netip.AddrFrom4(raw), nil
}
