// Builders for the rows of schema.cpp, and for nothing else: they tie a key to the member of a struct that keeps its
// value, and let the compiler check that the row stands in the table of that struct.
#pragma once

#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/schema.h"

namespace pgkeel::schema_rows {

constexpr std::int64_t in_nanoseconds(Duration duration) {
  return duration.count();
}

// A row as its owner's table takes it: a row of another struct does not compile.
template <class Owner>
struct Row : Key {};

template <class Owner>
Table table_of(std::initializer_list<Row<Owner>> rows) {
  Table table;
  for (const Row<Owner>& row : rows) table.keys.push_back(row);
  return table;
}

template <class Member>
struct MemberOf;
template <class Owner, class Field>
struct MemberOf<Field Owner::*> {
  using OwnerType = Owner;
  using FieldType = Field;
};

// &Owner::field, or &Owner::part, &Part::field.
template <auto First, auto... Rest>
struct Path {
  using Owner = typename MemberOf<decltype(First)>::OwnerType;

  static auto& in(void* owner) { return ((static_cast<Owner*>(owner)->*First).*....*Rest); }
  static const auto& in(const void* owner) { return ((static_cast<const Owner*>(owner)->*First).*....*Rest); }
  using Field = std::remove_cvref_t<decltype(in(std::declval<void*>()))>;
};

// `Held` is how KeyValue holds the field.
template <class Held, class P>
Row<typename P::Owner> field_row(std::string_view name, KeyType type, std::string_view help) {
  Row<typename P::Owner> row;
  row.name = name;
  row.type = type;
  row.help = help;
  row.store = [](void* owner, const KeyValue& value) {
    P::in(owner) = static_cast<typename P::Field>(std::get<Held>(value));
  };
  row.load = [](const void* owner) { return KeyValue(static_cast<Held>(P::in(owner))); };
  return row;
}

template <auto... Members>
auto integer(std::string_view name, std::int64_t least, std::int64_t most, std::string_view help) {
  auto row = field_row<std::int64_t, Path<Members...>>(name, KeyType::kInteger, help);
  row.least = least;
  row.most = most;
  return row;
}

template <auto... Members>
auto duration(std::string_view name, Duration least, Duration most, std::string_view help) {
  auto row = field_row<Duration, Path<Members...>>(name, KeyType::kDuration, help);
  row.least = in_nanoseconds(least);
  row.most = in_nanoseconds(most);
  return row;
}

template <auto... Members>
auto boolean(std::string_view name, std::string_view help) {
  return field_row<bool, Path<Members...>>(name, KeyType::kBoolean, help);
}

template <auto... Members>
auto text(std::string_view name, std::string_view help, Complaint (*check)(std::string_view) = nullptr) {
  auto row = field_row<std::string, Path<Members...>>(name, KeyType::kText, help);
  row.check = check;
  return row;
}

template <auto... Members>
auto host_port(std::string_view name, std::string_view help) {
  auto row = field_row<HostPort, Path<Members...>>(name, KeyType::kHostPort, help);
  row.may_be_empty = false;
  return row;
}

// Empty: none.
template <auto... Members>
auto optional_host_port(std::string_view name, std::string_view help) {
  return field_row<HostPort, Path<Members...>>(name, KeyType::kHostPort, help);
}

template <auto... Members>
auto networks(std::string_view name, std::string_view help) {
  auto row = field_row<std::vector<std::string>, Path<Members...>>(name, KeyType::kTextList, help);
  row.check = complain_of_network;
  row.may_be_empty = false;
  return row;
}

template <auto... Members>
auto texts(std::string_view name, std::string_view help, Complaint (*check)(std::string_view)) {
  auto row = field_row<std::vector<std::string>, Path<Members...>>(name, KeyType::kTextList, help);
  row.check = check;
  row.may_be_empty = false;
  return row;
}

// The names are those of the enumerators, in their order.
template <auto... Members>
auto choice(std::string_view name, const std::vector<std::string_view>& names, std::string_view help) {
  auto row = field_row<std::int64_t, Path<Members...>>(name, KeyType::kChoice, help);
  row.choices = names;
  return row;
}

// Known and checked, but kept nowhere: for what this version has no use for.
template <class Owner>
Row<Owner> unused(std::string_view name, KeyType type, const KeyValue& fallback, std::string_view help) {
  Row<Owner> row;
  row.name = name;
  row.type = type;
  row.help = help;
  row.fallback = fallback;
  return row;
}

template <class Owner>
Row<Owner> unused_text(std::string_view name, std::string_view help) {
  return unused<Owner>(name, KeyType::kText, std::string(), help);
}

template <auto Member>
auto table(std::string_view name, const Table& rows, std::string_view help) {
  using P = Path<Member>;
  Row<typename P::Owner> row;
  row.name = name;
  row.type = KeyType::kTable;
  row.help = help;
  row.table = &rows;
  row.open = [](void* owner, std::string_view) -> void* {
    auto& part = P::in(owner);
    if constexpr (requires { part.emplace(); }) {
      return &part.emplace();
    } else {
      return &part;
    }
  };
  row.parts = [](void* owner) -> std::vector<TablePart> {
    auto& part = P::in(owner);
    if constexpr (requires { part.has_value(); }) {
      if (!part.has_value()) return {};
      return {{"", &*part}};
    } else {
      return {{"", &part}};
    }
  };
  return row;
}

// A table of the file whose keys are members of the owner itself.
template <class Owner>
Row<Owner> table_of_owner(std::string_view name, const Table& rows, std::string_view help) {
  Row<Owner> row;
  row.name = name;
  row.type = KeyType::kTable;
  row.help = help;
  row.table = &rows;
  row.open = [](void* owner, std::string_view) { return owner; };
  row.parts = [](void* owner) { return std::vector<TablePart>{{"", owner}}; };
  return row;
}

template <auto Member>
auto tables(std::string_view name, KeyType type, const Table& rows, std::string_view help) {
  using P = Path<Member>;
  Row<typename P::Owner> row;
  row.name = name;
  row.type = type;
  row.help = help;
  row.required = true;
  row.table = &rows;
  row.open = [](void* owner, [[maybe_unused]] std::string_view element_name) -> void* {
    auto& element = P::in(owner).emplace_back();
    if constexpr (std::is_same_v<decltype(element), ClusterConfig&>) element.name = element_name;
    return &element;
  };
  row.parts = [](void* owner) {
    std::vector<TablePart> parts;
    for (auto& element : P::in(owner)) parts.push_back({element.name, &element});
    return parts;
  };
  return row;
}

template <class Owner>
Row<Owner> unused_table(std::string_view name, const Table& rows, std::string_view help) {
  Row<Owner> row;
  row.name = name;
  row.type = KeyType::kTable;
  row.help = help;
  row.table = &rows;
  return row;
}

template <class R>
R shown_as(R row, std::string_view example, std::string_view second_example = {}) {
  row.example = example;
  row.second_example = second_example;
  return row;
}
template <class R>
R required(R row, std::string_view example, std::string_view second_example = {}) {
  row.required = true;
  row.may_be_empty = false;
  return shown_as(std::move(row), example, second_example);
}
template <class R>
R not_empty(R row) {
  row.may_be_empty = false;
  return row;
}
template <class R>
R unsupported(R row, std::string_view why) {
  row.unsupported = why;
  return row;
}
template <class R>
R needs_restart(R row) {
  row.reload = ReloadEffect::kRestart;
  return row;
}
template <class R>
R for_new_connections(R row) {
  row.reload = ReloadEffect::kNewConnections;
  return row;
}
template <class R>
R per_host(R row) {
  row.per_host = true;
  return row;
}
template <class R>
R shown_commented_out(R row) {
  row.shown_commented_out = true;
  return row;
}
template <class R>
R written_inline(R row) {
  row.written_inline = true;
  return row;
}

}  // namespace pgkeel::schema_rows
