// Runs the module: prints levels and differences, fails on a difference.
import { readFileSync } from 'node:fs';

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
const answer = instance.exports.check();
const [levels, differences] = [answer >>> 16, answer & 0xffff];
console.log(`${levels} levels in WebAssembly, ${differences} differences`);
process.exit(differences === 0 && levels > 0 ? 0 : 1);
