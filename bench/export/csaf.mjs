// node csaf.mjs FOLDER-WITH-node_modules DOCUMENT…: the strict schema and every mandatory test of CSAF 2.0, section 6.1, by
// the BSI's csaf-validator-lib. Exits with 1 if one fails.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, ...documents] = process.argv.slice(2);
const lib = `${folder}/node_modules/@secvisogram/csaf-validator-lib`;
const load = (file) => import(pathToFileURL(`${lib}/${file}.js`).href);
const { default: validate } = await load("validate");
const tests = [
  ...Object.values(await load("schemaTests")),
  ...Object.values(await load("mandatoryTests")),
].filter((test) => typeof test === "function");
if (tests.length < 30) throw new Error(`only ${tests.length} tests were found in the library`);

let failed = false;
for (const document of documents) {
  const result = await validate(tests, JSON.parse(readFileSync(document, "utf8")));
  failed ||= !result.isValid;
  console.log(`csaf ${result.isValid ? "valid" : "INVALID"} (${result.tests.length} tests): ${document}`);
  for (const test of result.tests.filter((test) => !test.isValid)) {
    console.log(`  ${test.name}: ${JSON.stringify(test.errors)}`);
  }
}
process.exit(failed ? 1 : 0);
