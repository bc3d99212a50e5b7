package redirect

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the table that is ours alone: other tables stay as they are.
const tableName = "wsresilience"

// Apply puts r in force for new connections in the network namespace of the
// calling thread, for IPv4 and IPv6. It is one transaction: rules of an earlier
// Apply are replaced, and after an error they are as they were.
//
// It needs the capability NET_ADMIN and a kernel of 5.2 or later, the first in
// which one table translates the addresses of both families.
func Apply(r Rules) error {
	if err := r.Check(); err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return explain(err)
	}
	// A table that is not there cannot be deleted, and one that is can be
	// added: so it is added, deleted with all its rules, and added empty.
	table := conn.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	conn.DelTable(table)
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name:     "prerouting",
		Table:    table,
		Type:     nftables.ChainTypeNAT,
		Hooknum:  nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityNATDest,
	})
	for _, h := range r.hops() {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: h.expressions()})
	}
	return explain(conn.Flush())
}

// expressions is "tcp dport <port> redirect to :<to>", as the kernel reads it.
func (h hop) expressions() []expr.Any {
	const (
		register = 1
		destPort = 2 // offset of the destination port in TCP's header (RFC 9293 §3.1)
	)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: destPort, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binaryutil.BigEndian.PutUint16(h.port)},
		&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(h.to)},
		&expr.Redir{RegisterProtoMin: register},
	}
}

// explain adds to an answer of the kernel what to do about it.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("redirect: %w: the container lacks the capability NET_ADMIN: add it, in a namespace that admits it, or choose the mode named, which needs none", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("redirect: %w: the node's kernel has no nftables with address translation for inet tables (5.2 or later, nf_tables and nft_redir): load the modules, or choose the mode named, which needs none", err)
	}
	return fmt.Errorf("redirect: nftables: %w", err)
}
