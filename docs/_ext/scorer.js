// Ranks the results of the search: how to do a thing before the names that it uses, and these before definitions and history.
var Scorer = {
  score: ([docname, title, anchor, description, score, filename, kind]) => {
    if (/^(tutorial|howto)/.test(docname)) score += 5;
    if (/^(changelog|contributing)/.test(docname)) score -= 10;
    if (docname === "glossary") score -= 80; // each term is an index entry, which has up to 100
    return kind === "object" ? score - 5 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
