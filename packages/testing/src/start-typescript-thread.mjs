/** What a worker thread runs first whose program, named by its first argument, is a TypeScript source. */
import { register } from 'node:module';

register(new URL('typescript-source.mjs', import.meta.url));
await import(process.argv[2]);
