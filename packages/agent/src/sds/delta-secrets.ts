/** DeltaSecrets: the client says what it wants more or no more, and is sent what has changed and what is gone. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { DeltaDiscoveryRequest__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DeltaDiscoveryRequest';
import type { DeltaDiscoveryResponse } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DeltaDiscoveryResponse';
import type { Conversation, ConversationFeed } from '../workload-api/conversation.js';
import type { Caller } from '../workload-api/workload-calls.js';
import { deltaRequestFromProto, MOST_NAMES, type DeltaRequest } from './discovery-request.js';
import { SECRET_TYPE_URL, versionOf, type Secret } from './secret.js';
import { SecretStream, warnOfMissing, type SecretSources } from './secret-stream.js';

/** Whatever there is, under its SPIFFE IDs. */
const WILDCARD = '*';
/** In place of a version: the client knows that there is none, or knows nothing for certain. */
const GONE = Symbol('gone');
const UNSURE = Symbol('unsure');

export class DeltaSecrets implements Conversation<DeltaDiscoveryRequest__Output, DeltaDiscoveryResponse> {
  readonly #sources: SecretSources;
  readonly #caller: Caller;
  readonly #feed: ConversationFeed;
  readonly #stream: SecretStream;
  readonly #names = new Set<string>();
  #isWildcard = false;
  /** What the client has, as far as we told it or it told us. */
  readonly #known = new Map<string, string | typeof GONE | typeof UNSURE>();
  #isFirst = true;
  /** Whether an answer is owed even if there is nothing to say. */
  #isAsked = false;

  constructor(sources: SecretSources, caller: Caller, feed: ConversationFeed) {
    this.#sources = sources;
    this.#caller = caller;
    this.#feed = feed;
    this.#stream = new SecretStream(sources, caller, feed);
  }

  receive(message: DeltaDiscoveryRequest__Output): void {
    this.#stream.count();
    const request = deltaRequestFromProto(message);
    this.#stream.note(request);
    if (this.#isFirst) this.#begin(request);
    this.#subscribe(request.subscribe);
    this.#unsubscribe(request.unsubscribe);
    this.#checkUnsure();
    this.#isFirst = false;
    this.#feed.changed();
  }

  next(): DeltaDiscoveryResponse | undefined {
    const { granted, form } = this.#stream;
    if (this.#isFirst || granted === undefined) return undefined;
    const named = [...this.#names].map((name) => [name, granted.find(name, form)] as const);
    const all = this.#isWildcard ? granted.all(form) : [];
    const wanted = new Map<string, Secret | undefined>([
      ...named,
      ...all.map((secret) => [secret.name, secret] as const),
    ]);
    const resources = [...wanted.values()].filter(
      (secret): secret is Secret => secret !== undefined && this.#known.get(secret.name) !== secret.version,
    );
    const missing = named.flatMap(([name, secret]) => (secret === undefined ? [name] : []));
    const removed = this.#removed(wanted, missing);
    for (const { name, version } of resources) this.#known.set(name, version);
    if (resources.length === 0 && removed.length === 0 && !this.#isAsked) return undefined;
    if (missing.length > 0) warnOfMissing(missing, this.#caller, this.#sources);
    this.#isAsked = false;
    return {
      systemVersionInfo: versionOf([...wanted.values()].filter((secret) => secret !== undefined)),
      resources: resources.map(({ name, resource, version }) => ({ name, resource, version })),
      removedResources: removed,
      typeUrl: SECRET_TYPE_URL,
      nonce: this.#stream.nextNonce(),
    };
  }

  close(): void {
    this.#stream.close();
  }

  #begin({ initialVersions, subscribe, unsubscribe }: DeltaRequest): void {
    for (const [name, version] of initialVersions) this.#known.set(name, version);
    // Older clients know no other way to ask for everything.
    this.#isWildcard = subscribe.length === 0 && unsubscribe.length === 0;
    this.#isAsked = this.#isWildcard;
  }

  #subscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === WILDCARD) {
        this.#isWildcard = true;
        this.#isAsked = true;
        continue;
      }
      this.#names.add(name);
      // Who asks again has lost it, whatever we sent; only what it brought along need not be sent.
      if (!this.#isFirst) this.#known.delete(name);
    }
    if (this.#names.size <= MOST_NAMES) return;
    throw new BonafideError(
      'resource_exhausted',
      `more than ${MOST_NAMES} names on one stream; expected some to be unsubscribed from first`,
    );
  }

  #unsubscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === WILDCARD) {
        this.#isWildcard = false;
      } else if (this.#names.delete(name)) {
        // As part of everything it may still be wanted; the client cannot know, and is told either way.
        if (this.#isWildcard) this.#known.set(name, UNSURE);
        else this.#known.delete(name);
      }
    }
  }

  /** They go with the next message, which does not come while the client reads none. */
  #checkUnsure(): void {
    const unsure = [...this.#known.values()].filter((version) => version === UNSURE).length;
    if (unsure <= MOST_NAMES) return;
    throw new BonafideError(
      'resource_exhausted',
      `more than ${MOST_NAMES} names unsubscribed from and not told of yet; expected messages to be read first`,
    );
  }

  /** Takes note of them as well. What the client gave up itself it need not be told of. */
  #removed(wanted: ReadonlyMap<string, unknown>, missing: readonly string[]): string[] {
    const lapsed = [...this.#known.keys()].filter((name) => !wanted.has(name));
    const told = [...missing, ...(this.#isWildcard ? lapsed : [])].filter(
      (name) => this.#known.get(name) !== GONE,
    );
    for (const name of lapsed) this.#known.delete(name);
    for (const name of missing) this.#known.set(name, GONE);
    return told;
  }
}
