/** Starts worker threads whose program is a TypeScript source, as the tests run it, or what it was built to. */

/** For `new Worker(file, { argv, execArgv })`. */
interface TypescriptThread {
  readonly file: URL;
  readonly argv: string[];
  readonly execArgv: string[];
}

export function typescriptThread(program: URL): TypescriptThread {
  return {
    file: new URL('start-typescript-thread.mjs', import.meta.url),
    argv: [program.href],
    execArgv: ['--conditions=@bonafide/source'],
  };
}
