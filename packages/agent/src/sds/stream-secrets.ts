/** StreamSecrets: the client names all it wants, and is sent all of it each time that any of it changes. */
import type { DiscoveryRequest__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryRequest';
import type { DiscoveryResponse } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryResponse';
import type { Conversation, ConversationFeed } from '../workload-api/conversation.js';
import type { Caller } from '../workload-api/workload-calls.js';
import { secretsRequestFromProto } from './discovery-request.js';
import { SECRET_TYPE_URL, versionOf } from './secret.js';
import { requestedSecrets, SecretStream, type SecretSources } from './secret-stream.js';

export class StreamSecrets implements Conversation<DiscoveryRequest__Output, DiscoveryResponse> {
  readonly #sources: SecretSources;
  readonly #caller: Caller;
  readonly #feed: ConversationFeed;
  readonly #stream: SecretStream;
  /** Undefined until the first request. */
  #names: ReadonlySet<string> | undefined;
  /** Whether an answer is owed even if nothing has changed. */
  #isAsked = false;
  #sent: { readonly nonce: string; readonly version: string } | undefined;

  constructor(sources: SecretSources, caller: Caller, feed: ConversationFeed) {
    this.#sources = sources;
    this.#caller = caller;
    this.#feed = feed;
    this.#stream = new SecretStream(sources, caller, feed);
  }

  receive(message: DiscoveryRequest__Output): void {
    this.#stream.count();
    const request = secretsRequestFromProto(message);
    // It crossed with our last message, of which the client has not heard yet; it will say again what it wants when it has.
    if (this.#sent !== undefined && request.nonce !== this.#sent.nonce) {
      this.#caller.log.debug({ nonce: request.nonce.slice(0, 64) }, 'ignoring a request with a stale nonce');
      return;
    }
    this.#stream.note(request);
    // A client that has taken our message, or has not, is not sent it again, unless it wants something else now.
    if (this.#names === undefined || !areSame(this.#names, request.names)) this.#isAsked = true;
    this.#names = request.names;
    this.#feed.changed();
  }

  next(): DiscoveryResponse | undefined {
    const { form, granted } = this.#stream;
    if (this.#names === undefined || granted === undefined) return undefined;
    const grant = { caller: this.#caller, form, granted };
    const secrets = requestedSecrets(this.#names, grant, this.#sources);
    const version = versionOf(secrets);
    if (!this.#isAsked && version === this.#sent?.version) return undefined;
    this.#isAsked = false;
    this.#sent = { nonce: this.#stream.nextNonce(), version };
    return {
      versionInfo: version,
      resources: secrets.map(({ resource }) => resource),
      typeUrl: SECRET_TYPE_URL,
      nonce: this.#sent.nonce,
    };
  }

  close(): void {
    this.#stream.close();
  }
}

function areSame(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}
