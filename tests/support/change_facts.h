// The facts of a node in a view are shared and never change: another version takes their place. Tests only.
#pragma once

#include <memory>
#include <utility>

#include "replication/model/cluster_view.h"

namespace pgkeel::test {

template <class Change>
void change_facts(NodeView& node, const Change& change) {
  NodeFacts facts = node.facts != nullptr ? *node.facts : NodeFacts();
  change(facts);
  node.facts = std::make_shared<const NodeFacts>(std::move(facts));
}

}  // namespace pgkeel::test
