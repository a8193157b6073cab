// What several pgkeels agree on, as metrics of one of them. Pure.
#pragma once

#include <vector>

#include "proxy/admin/cluster_status.h"

namespace pgkeel {

class Families;

// Nothing where this pgkeel is alone.
void add_agreement(Families& families, const std::vector<ClusterStatus>& clusters);

}  // namespace pgkeel
