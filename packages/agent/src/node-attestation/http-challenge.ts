/** Attestation by HTTP challenge: shows the server's nonce on a port of this node, for as long as the attestation takes. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname as hostnameOfSystem } from 'node:os';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { OpenConnections } from '@bonafide/shared/http/open-connections';
import {
  agentNameSchema,
  httpChallengePath,
  parseHttpChallenge,
} from '@bonafide/shared/node-attestation/http-challenge-messages';
import { z } from 'zod';
import type { NodeAttestorPlugin } from './node-attestor.js';

const port = z.int().min(0).max(65_535);

const configSchema = z.strictObject({
  /** The system's when absent. */
  hostname: z.string().min(1).max(253).optional(),
  agentname: agentNameSchema.default('default'),
  /** 0: any that is free. */
  port: port.default(0),
  /** To which the server is told to call; the one above when absent. */
  advertised_port: port.min(1).optional(),
});

const MOST_CONNECTIONS = 64;
const LONGEST_REQUEST_MS = 10_000;

export const httpChallenge: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: (config) => ({
    type: 'http_challenge',
    isSpent: false,
    async attest(exchange) {
      const page = await NoncePage.open(config.port, httpChallengePath(config.agentname));
      try {
        const evidence = {
          hostname: config.hostname ?? hostnameOfSystem(),
          agentname: config.agentname,
          port: config.advertised_port ?? page.port,
        };
        const challenge = await exchange.send(Buffer.from(JSON.stringify(evidence)));
        if (challenge === undefined) {
          throw new BonafideError('internal', 'the server sent no challenge; it must call this node back');
        }
        page.nonce = parseHttpChallenge(challenge).nonce;
        // Not empty, for SPIRE's server takes no empty answer.
        if ((await exchange.send(Buffer.from('\n'))) !== undefined) {
          throw new BonafideError('internal', 'the server sent a second challenge');
        }
      } finally {
        await page.close();
      }
    },
  }),
};

class NoncePage {
  readonly #server: Server;
  readonly #connections: OpenConnections;
  /** Undefined: the page is not there. */
  nonce: string | undefined;

  private constructor(path: string) {
    this.#server = createServer({ requestTimeout: LONGEST_REQUEST_MS }, (request, response) => {
      const isFound = this.nonce !== undefined && request.method === 'GET' && request.url === path;
      response.writeHead(isFound ? 200 : 404, {
        'content-type': 'text/plain; charset=utf-8',
        connection: 'close',
      });
      response.end(isFound ? `${this.nonce ?? ''}\n` : undefined);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#connections = new OpenConnections(this.#server);
  }

  /** On every address of the node. @throws BonafideError `failed_precondition` when the port cannot be had. */
  static open(port: number, path: string): Promise<NoncePage> {
    const page = new NoncePage(path);
    return new Promise((resolve, reject) => {
      page.#server.once('error', (cause) => {
        const message = `could not listen on port ${port}: ${errorMessage(cause)}`;
        reject(new BonafideError('failed_precondition', message, { cause }));
      });
      page.#server.listen(port, () => {
        resolve(page);
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#connections.destroyAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
