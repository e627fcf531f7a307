// Command interop is a workload written with go-spiffe. The interop tests start it as a process; it answers in JSON lines.
//
//	interop fetch                  one X.509 context
//	interop watch COUNT            COUNT updates, a line each
//	interop serve CLIENT-ID        an mTLS echo server; prints its port
//	interop token BUNDLE-FILE TOKEN AUDIENCE   a JWT-SVID, validated by a SPIFFE bundle in a file
//	interop jwt AUDIENCE           a JWT-SVID from the Workload API, validated by its bundles and by itself
//	interop validate TOKEN AUDIENCE   a JWT-SVID of somebody, validated by the Workload API
//	interop sources AUDIENCE       an X509Source, a JWTSource and a BundleSource until its SVID has rotated
//	interop call ADDRESS SERVER-ID COUNT   COUNT requests over mTLS, a new connection each
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: interop fetch|watch|serve|call|token|jwt|validate|sources")
	}
	switch {
	case args[0] == "fetch" && len(args) == 1:
		return fetch(ctx)
	case args[0] == "watch" && len(args) == 2:
		return watch(ctx, args[1])
	case args[0] == "serve" && len(args) == 2:
		return serve(ctx, args[1])
	case args[0] == "token" && len(args) == 4:
		return token(args[1], args[2], args[3])
	case args[0] == "jwt" && len(args) == 2:
		return jwt(ctx, args[1])
	case args[0] == "validate" && len(args) == 3:
		return validate(ctx, args[1], args[2])
	case args[0] == "sources" && len(args) == 2:
		return sources(ctx, args[1])
	case args[0] == "call" && len(args) == 4:
		return call(ctx, args[1], args[2], args[3])
	}
	return fmt.Errorf("unknown command %q with %d arguments", args[0], len(args)-1)
}

func say(value any) {
	line, _ := json.Marshal(value)
	fmt.Println(string(line))
}

type update struct {
	SpiffeID     string   `json:"spiffeId"`
	SerialNumber string   `json:"serialNumber"`
	Hint         string   `json:"hint"`
	Authorities  int      `json:"authorities"`
	TrustDomains []string `json:"trustDomains"`
}

func describe(x509Context *workloadapi.X509Context) update {
	svid := x509Context.DefaultSVID()
	result := update{SpiffeID: svid.ID.String(), SerialNumber: svid.Certificates[0].SerialNumber.Text(16), Hint: svid.Hint}
	for _, bundle := range x509Context.Bundles.Bundles() {
		result.TrustDomains = append(result.TrustDomains, bundle.TrustDomain().Name())
		result.Authorities += len(bundle.X509Authorities())
	}
	return result
}

func fetch(ctx context.Context) error {
	x509Context, err := workloadapi.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	say(describe(x509Context))
	return nil
}

type watcher struct {
	remaining int
	done      chan error
}

func (w *watcher) OnX509ContextUpdate(x509Context *workloadapi.X509Context) {
	say(describe(x509Context))
	if w.remaining--; w.remaining == 0 {
		w.done <- nil
	}
}

func (w *watcher) OnX509ContextWatchError(err error) {
	if w.remaining <= 0 {
		return // it was ended from here
	}
	fmt.Fprintln(os.Stderr, "watch error:", err)
}

func watch(ctx context.Context, count string) error {
	remaining, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watcher{remaining: remaining, done: make(chan error, 2)}
	go func() {
		if err := workloadapi.WatchX509Context(ctx, w); err != nil {
			w.done <- err
		}
	}()
	return <-w.done
}

func serve(ctx context.Context, clientID string) error {
	authorized, err := spiffeid.FromString(clientID)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(authorized)))
	if err != nil {
		return err
	}
	say(map[string]int{"port": listener.Addr().(*net.TCPAddr).Port})
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer conn.Close()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				fmt.Fprintln(os.Stderr, "refused:", err)
				return
			}
			fmt.Fprintf(conn, "echo %s", line)
		}()
	}
}

func call(ctx context.Context, address, serverID, count string) error {
	authorized, err := spiffeid.FromString(serverID)
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(authorized))
	for i := range times {
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		fmt.Fprintf(conn, "hello %d\n", i)
		answer, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		say(map[string]string{"answer": answer[:len(answer)-1]})
	}
	return nil
}

func token(bundleFile, text, audience string) error {
	trustDomain, err := spiffeid.TrustDomainFromString("example.org")
	if err != nil {
		return err
	}
	bundle, err := spiffebundle.Load(trustDomain, bundleFile)
	if err != nil {
		return err
	}
	svid, err := jwtsvid.ParseAndValidate(text, bundle, []string{audience})
	if err != nil {
		return err
	}
	sequence, _ := bundle.SequenceNumber()
	say(map[string]any{
		"spiffeId":        svid.ID.String(),
		"audience":        svid.Audience,
		"expiry":          svid.Expiry.Unix(),
		"jwtAuthorities":  len(bundle.JWTAuthorities()),
		"x509Authorities": len(bundle.X509Authorities()),
		"sequence":        sequence,
	})
	return nil
}

func jwt(ctx context.Context, audience string) error {
	svid, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	bundles, err := workloadapi.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	byBundles, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience})
	if err != nil {
		return fmt.Errorf("by its bundles: %w", err)
	}
	byAgent, err := workloadapi.ValidateJWTSVID(ctx, svid.Marshal(), audience)
	if err != nil {
		return fmt.Errorf("by the Workload API: %w", err)
	}
	trustDomains, keys := []string{}, 0
	for _, bundle := range bundles.Bundles() {
		trustDomains = append(trustDomains, bundle.TrustDomain().Name())
		keys += len(bundle.JWTAuthorities())
	}
	say(map[string]any{
		"spiffeId":     svid.ID.String(),
		"hint":         svid.Hint,
		"audience":     svid.Audience,
		"byBundles":    byBundles.ID.String(),
		"byAgent":      byAgent.ID.String(),
		"trustDomains": trustDomains,
		"keys":         keys,
		"token":        svid.Marshal(),
	})
	return nil
}

func validate(ctx context.Context, text, audience string) error {
	svid, err := workloadapi.ValidateJWTSVID(ctx, text, audience)
	if err != nil {
		return err
	}
	say(map[string]any{"spiffeId": svid.ID.String(), "audience": svid.Audience, "expiry": svid.Expiry.Unix()})
	return nil
}

func sources(ctx context.Context, audience string) error {
	x509Source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return fmt.Errorf("X509Source: %w", err)
	}
	defer x509Source.Close()
	jwtSource, err := workloadapi.NewJWTSource(ctx)
	if err != nil {
		return fmt.Errorf("JWTSource: %w", err)
	}
	defer jwtSource.Close()
	bundleSource, err := workloadapi.NewBundleSource(ctx)
	if err != nil {
		return fmt.Errorf("BundleSource: %w", err)
	}
	defer bundleSource.Close()

	first, err := x509Source.GetX509SVID()
	if err != nil {
		return err
	}
	token, err := jwtSource.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	validated, err := jwtsvid.ParseAndValidate(token.Marshal(), bundleSource, []string{audience})
	if err != nil {
		return fmt.Errorf("the JWT-SVID by the BundleSource: %w", err)
	}
	last := first
	for last.Certificates[0].SerialNumber.Cmp(first.Certificates[0].SerialNumber) == 0 {
		if err := x509Source.WaitUntilUpdated(ctx); err != nil {
			return err
		}
		if last, err = x509Source.GetX509SVID(); err != nil {
			return err
		}
	}
	if _, _, err := x509svid.Verify(last.Certificates, bundleSource); err != nil {
		return fmt.Errorf("the X.509-SVID by the BundleSource: %w", err)
	}
	bundle, err := bundleSource.GetBundleForTrustDomain(last.ID.TrustDomain())
	if err != nil {
		return err
	}
	say(map[string]any{
		"spiffeId":        last.ID.String(),
		"jwtSpiffeId":     validated.ID.String(),
		"x509Authorities": len(bundle.X509Authorities()),
		"jwtAuthorities":  len(bundle.JWTAuthorities()),
		"hasRotated":      true,
	})
	return nil
}
